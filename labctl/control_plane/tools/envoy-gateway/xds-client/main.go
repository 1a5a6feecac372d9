// Command xds-client asks Envoy Gateway for the configuration of its proxies, as a proxy does, and prints it.
//
// It shows its certificate, names the fleet that it belongs to, and takes what the controller answers: Envoy's own
// messages, as JSON. Without resource names it asks for all of a type, which listeners and clusters allow.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/emptypb"

	// The messages inside messages that are printed with their fields.
	_ "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
)

// How long the controller may take to answer; a proxy itself waits for ever.
const patience = 20 * time.Second

func main() {
	address := flag.String("address", "127.0.0.1:18000", "where the controller listens")
	server := flag.String("server-name", "envoy-gateway", "name in the controller's certificate")
	folder := flag.String("certificates", "", "folder of ca.crt, tls.crt and tls.key")
	fleet := flag.String("fleet", "", "NAMESPACE/NAME of the Gateway that the proxy belongs to")
	kind := flag.String("type", "envoy.config.listener.v3.Listener", "message type of the resources")
	flag.Parse()
	if err := ask(*address, *server, *folder, *fleet, *kind, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func ask(address, server, folder, fleet, kind string, names []string) error {
	identity, err := tls.LoadX509KeyPair(folder+"/tls.crt", folder+"/tls.key")
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(folder + "/ca.crt")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return errors.New("ca.crt holds no certificate")
	}
	secure := credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{identity}, RootCAs: roots, ServerName: server, MinVersion: tls.VersionTLS13,
	})
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(secure))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connection).StreamAggregatedResources(ctx)
	if err != nil {
		return err
	}
	request := &discoveryv3.DiscoveryRequest{
		Node:          &corev3.Node{Id: "xds-client", Cluster: fleet},
		TypeUrl:       "type.googleapis.com/" + kind,
		ResourceNames: names,
	}
	if err := stream.Send(request); err != nil {
		return err
	}
	answer, err := stream.Recv()
	if err != nil {
		return err
	}
	text, err := protojson.MarshalOptions{Resolver: known{protoregistry.GlobalTypes}}.Marshal(answer)
	if err != nil {
		return err
	}
	fmt.Println(string(text))
	return nil
}

// known finds the messages that are compiled in; any other is printed as an empty one.
type known struct{ *protoregistry.Types }

func (types known) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	found, err := types.Types.FindMessageByURL(url)
	if errors.Is(err, protoregistry.NotFound) {
		return (&emptypb.Empty{}).ProtoReflect().Type(), nil
	}
	return found, err
}
