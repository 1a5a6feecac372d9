// An OpenID Connect provider (the certified oidc-provider) on loopback, for the tests of the hub's sign-in.
// Who has an account, and what is claimed of them, is read from a file at every question; so a test changes it at once.
import fs from "node:fs";
import https from "node:https";
import Provider from "oidc-provider";

const said = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));

const provider = new Provider(said.issuer, {
  clients: [{
    client_id: said.clientId,
    client_secret: said.clientSecret,
    redirect_uris: [said.redirect],
    grant_types: ["authorization_code", "refresh_token"],
    token_endpoint_auth_method: "client_secret_post",
  }],
  claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
  cookies: { keys: ["only-a-test"] },
  features: { devInteractions: { enabled: true } },
  // A refresh token that is used twice ends the whole sign-in, as RFC 9700 asks.
  rotateRefreshToken: true,
  ttl: { AccessToken: said.accessSeconds, Grant: 3600, Interaction: 600, Session: 3600, RefreshToken: 3600, IdToken: 600 },
  findAccount: (context, name) => {
    const account = JSON.parse(fs.readFileSync(said.accounts, "utf8"))[name];
    if (account === undefined) return undefined;
    return { accountId: name, claims: () => ({ sub: name, ...account }) };
  },
});
provider.on("server_error", (context, error) => console.error(error));

const tls = { key: fs.readFileSync(said.key), cert: fs.readFileSync(said.certificate) };
https.createServer(tls, provider.callback()).listen(said.port, "127.0.0.1");
