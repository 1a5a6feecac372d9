// Command cert-manager-controller runs cert-manager's own control loops for certificates of a CA or a self-signed issuer.
//
// cert-manager's Go module holds all that these loops do (pkg/controller, pkg/issuer), but not the command that its
// image runs, which is a module without a published version. This command starts the same loops, by the names under
// which they register themselves, from the same context. It differs in what surrounds them: one of it runs, so there is
// no election, and it listens nowhere: no metrics, no health endpoint. ACME, Vault and Venafi are left out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	carequests "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	selfsignedrequests "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	"github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	"github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/util"
)

// Items handled at a time by each loop: like the times between attempts below, the default of cert-manager's own command.
const workers = 5

// The loops of a Certificate, from its wish to its Secret, and of the issuers that sign.
var loops = []string{
	clusterissuers.ControllerName,
	issuers.ControllerName,
	trigger.ControllerName,
	keymanager.ControllerName,
	requestmanager.ControllerName,
	readiness.ControllerName,
	issuing.ControllerName,
	revisionmanager.ControllerName,
	approver.ControllerName,
	carequests.CRControllerName,
	selfsignedrequests.CRControllerName,
}

func main() {
	options := controller.ContextOptions{CertificateOptions: controller.CertificateOptions{
		CertificateRequestMinimumBackoffDuration: time.Hour,
		CertificateRequestMaximumBackoffDuration: 32 * time.Hour,
	}}
	flag.StringVar(&options.Kubeconfig, "kubeconfig", "",
		"how to reach the API server, and as whom; without it, as the ServiceAccount of the pod it runs in")
	flag.StringVar(&options.ClusterResourceNamespace, "cluster-resource-namespace", "",
		"namespace in which a ClusterIssuer looks for its Secret")
	version := flag.Bool("version", false, "print the version and end")
	flag.Parse()
	if *version {
		fmt.Println(util.AppVersion)
		return
	}

	logf.InitLogs()
	defer logf.FlushLogs()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(logf.NewContext(ctx, logf.Log, "controller"), options); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run returns once every loop has ended: without an error when ctx was cancelled, and otherwise with the first one's.
func run(ctx context.Context, options controller.ContextOptions) error {
	if options.ClusterResourceNamespace == "" {
		return errors.New("--cluster-resource-namespace is needed")
	}
	group, ctx := errgroup.WithContext(ctx)
	factory, err := controller.NewContextFactory(ctx, options)
	if err != nil {
		return err
	}
	shared, err := factory.Build()
	if err != nil {
		return err
	}
	for _, name := range loops {
		construct, registered := controller.Known()[name]
		if !registered {
			return fmt.Errorf("this cert-manager has no loop %q", name)
		}
		loop, err := construct(factory)
		if err != nil {
			return fmt.Errorf("loop %s: %w", name, err)
		}
		group.Go(func() error { return loop.Run(workers, ctx) })
	}
	// Every loop has asked for the informers it needs by now.
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	return group.Wait()
}
