// Warns in JupyterLab before this server is ended.
//
// Written by hand, as JupyterLab loads an extension that is already built: a script that leaves a module federation
// container in window._JUPYTERLAB. It needs no package, so it runs in whatever JupyterLab an image brings (4 or later).
//
// Beside it lie settings.json, the same for every server, and one file per notice, which Kubernetes keeps as the pod's
// annotations are; an empty or missing file is no notice. A notice appears once for each of the configured times before
// the end, and is kept up to date in place. Times are shown in the user's own zone, counted by the server's clock.
(() => {
  "use strict";

  const NAME = "research-compute-notices";
  const FOLDER = new URL(".", document.currentScript.src);
  const POLL_SECONDS = 30; // how often files are read; the kubelet renews them within a minute or two
  const MINUTE = 60;
  const DAY_MS = 24 * 60 * MINUTE * 1000;

  const WHY = {
    "walltime-ends": "The time this server may run is over",
    "gpu-eviction-at": "The GPUs of this machine are being changed, and this server is stopped",
  };

  /** Return the text of a file beside this script and the server's time in ms; null where there is no such file. */
  async function read(file) {
    const answer = await fetch(new URL(file, FOLDER), { cache: "no-store", credentials: "same-origin" });
    if (!answer.ok) {
      return null;
    }
    const served = Date.parse(answer.headers.get("Date") ?? "");
    return { text: (await answer.text()).trim(), now: Number.isNaN(served) ? Date.now() : served };
  }

  /** Return a point of time as its reader's clock shows it, with the day unless it is within a day. */
  function clock(end, now) {
    const time = { hour: "2-digit", minute: "2-digit" };
    const day = end - now < DAY_MS ? {} : { weekday: "short", day: "numeric", month: "short" };
    return new Date(end).toLocaleString([], { ...day, ...time });
  }

  /** Return a length of time in words, in whole minutes. */
  function length(seconds) {
    const minutes = Math.max(0, Math.round(seconds / MINUTE));
    if (minutes < 1) {
      return "less than a minute";
    }
    const parts = [
      [Math.floor(minutes / 60), "hour"],
      [minutes % 60, "minute"],
    ];
    const said = parts.filter(([count]) => count > 0);
    return said.map(([count, word]) => `${count} ${word}${count > 1 ? "s" : ""}`).join(" ");
  }

  /** Return what is said of an end; the same text until something of it changes. */
  function wording(file, end, now) {
    const left = (end - now) / 1000;
    const when = left > 0 ? `at ${clock(end, now)}, in ${length(left)}` : "now";
    return `${WHY[file]} ${when}. Save your work: what runs is stopped, files in your folders stay.`;
  }

  /** Return the shortest of the warning times (seconds) that has come, or null while none has. */
  function stage(warnings, left) {
    const come = warnings.filter((seconds) => left <= seconds);
    return come.length > 0 ? Math.min(...come) : null;
  }

  /** One notice: what is on the screen of one file's end. */
  class Notice {
    constructor(commands, file, warnings) {
      Object.assign(this, { commands, file, warnings, id: null, end: null, stage: null, text: null });
    }

    async look() {
      const found = await read(this.file);
      const end = found === null ? NaN : Date.parse(found.text);
      if (Number.isNaN(end)) {
        await this.withdraw();
        return;
      }
      if (end !== this.end) {
        await this.withdraw();
        this.end = end;
      }
      const due = stage(this.warnings, (end - found.now) / 1000);
      if (due !== null) {
        await this.show(due, wording(this.file, end, found.now));
      }
    }

    async show(due, text) {
      const said = { message: text, type: "warning", options: { autoClose: false } };
      if (due !== this.stage) {
        // Said anew, in case the former one was closed; never two of them at once.
        await this.dismiss();
        this.id = await this.commands.execute("apputils:notify", said);
      } else if (text !== this.text) {
        // Does nothing to one that its reader has closed.
        await this.commands.execute("apputils:update-notification", { id: this.id, ...said });
      }
      Object.assign(this, { stage: due, text });
    }

    async dismiss() {
      if (this.id !== null) {
        await this.commands.execute("apputils:dismiss-notification", { id: this.id });
        this.id = null;
      }
    }

    async withdraw() {
      await this.dismiss();
      Object.assign(this, { end: null, stage: null, text: null });
    }
  }

  /** Say once per browser session that this server is stopped when its GPUs do nothing. */
  async function tellOfIdleGpus(commands) {
    const found = await read("gpu-idle-seconds");
    const seconds = Number(found === null ? "" : found.text);
    const key = `${NAME}:${FOLDER.pathname}`;
    if (!(seconds > 0) || sessionStorage.getItem(key) !== null) {
      return;
    }
    sessionStorage.setItem(key, "told");
    const idle = length(seconds);
    const message = `This server is stopped when its GPUs have done nothing for ${idle}, also while its CPUs work.`;
    await commands.execute("apputils:notify", { message, type: "info", options: { autoClose: 20000 } });
  }

  async function watch(commands) {
    const settings = await read("settings.json");
    if (settings === null) {
      return;
    }
    const { warningSeconds, pollSeconds = POLL_SECONDS } = JSON.parse(settings.text);
    const notices = Object.keys(WHY).map((file) => new Notice(commands, file, warningSeconds));
    const look = async () => {
      for (const notice of notices) {
        try {
          await notice.look();
        } catch (problem) {
          // The server may be away for a moment; what was said stays, and the next look tries again.
          console.warn(`${NAME}: ${notice.file} could not be read`, problem);
        }
      }
      setTimeout(look, pollSeconds * 1000);
    };
    await tellOfIdleGpus(commands);
    await look();
  }

  const plugin = {
    id: `${NAME}:plugin`,
    description: "Warns before this server is ended.",
    autoStart: true,
    activate: (app) => {
      app.restored
        .then(() => watch(app.commands))
        .catch((problem) => console.warn(`${NAME}: no warning will be shown`, problem));
    },
  };

  const container = {
    init: async () => {},
    get: async (module) => {
      if (module !== "./extension") {
        throw new Error(`${NAME} has no ${module}`);
      }
      return () => ({ __esModule: true, default: plugin });
    },
  };
  window._JUPYTERLAB = { ...window._JUPYTERLAB, [NAME]: container };
})();
