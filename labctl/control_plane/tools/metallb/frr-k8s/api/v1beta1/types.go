// Package v1beta1 stands in for the API types of FRR-K8s, the daemon that MetalLB hands its BGP sessions to.
//
// The lab announces addresses on layer 2 and speaks no BGP, so this part of MetalLB only has to compile: the kind is
// in no scheme, and a MetalLB told to use it (METALLB_BGP_TYPE=frr-k8s) fails at its first request. Field names and
// types are those that MetalLB's own source assigns to and compares; fields that it does not touch are left out.
package v1beta1

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// AddToScheme adds nothing: no FRRConfiguration is ever sent.
func AddToScheme(*runtime.Scheme) error { return nil }

// FRRConfiguration is what one node's FRR shall do.
type FRRConfiguration struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec FRRConfigurationSpec `json:"spec"`
}

// FRRConfigurationSpec holds the BGP sessions and the nodes they are for.
type FRRConfigurationSpec struct {
	BGP          BGPConfig            `json:"bgp"`
	NodeSelector metav1.LabelSelector `json:"nodeSelector"`
}

// BGPConfig holds routers and the profiles of their failure detection.
type BGPConfig struct {
	Routers     []Router     `json:"routers"`
	BFDProfiles []BFDProfile `json:"bfdProfiles"`
}

// Router is one BGP speaker and its neighbors.
type Router struct {
	ASN       uint32     `json:"asn"`
	ID        string     `json:"id"`
	VRF       string     `json:"vrf"`
	Neighbors []Neighbor `json:"neighbors"`
	Prefixes  []string   `json:"prefixes"`
}

// DynamicASNMode says how a neighbor's number is found.
type DynamicASNMode string

// Neighbor is one BGP session.
type Neighbor struct {
	ASN                    uint32           `json:"asn"`
	DynamicASN             DynamicASNMode   `json:"dynamicASN"`
	Address                string           `json:"address"`
	Interface              string           `json:"interface"`
	Port                   *uint16          `json:"port"`
	Password               string           `json:"password"`
	PasswordSecret         SecretReference  `json:"passwordSecret"`
	HoldTime               *metav1.Duration `json:"holdTime"`
	KeepaliveTime          *metav1.Duration `json:"keepaliveTime"`
	ConnectTime            *metav1.Duration `json:"connectTime"`
	EBGPMultiHop           bool             `json:"ebgpMultiHop"`
	BFDProfile             string           `json:"bfdProfile"`
	EnableGracefulRestart  bool             `json:"enableGracefulRestart"`
	DualStackAddressFamily bool             `json:"dualStackAddressFamily"`
	DisableMP              bool             `json:"disableMP"`
	ToAdvertise            Advertise        `json:"toAdvertise"`
}

// SecretReference names a Secret.
type SecretReference struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// Advertise says which prefixes a neighbor is told of, and with what.
type Advertise struct {
	Allowed                   AllowedOutPrefixes      `json:"allowed"`
	PrefixesWithLocalPref     []LocalPrefPrefixes     `json:"withLocalPref"`
	PrefixesWithCommunity     []CommunityPrefixes     `json:"withCommunity"`
	PrefixesWithAsPathPrepend []AsPathPrependPrefixes `json:"withAsPathPrepend"`
}

// AllowedOutPrefixes lists prefixes.
type AllowedOutPrefixes struct {
	Prefixes []string `json:"prefixes"`
}

// LocalPrefPrefixes gives prefixes a local preference.
type LocalPrefPrefixes struct {
	Prefixes  []string `json:"prefixes"`
	LocalPref uint32   `json:"localPref"`
}

// CommunityPrefixes gives prefixes a community.
type CommunityPrefixes struct {
	Prefixes  []string `json:"prefixes"`
	Community string   `json:"community"`
}

// AsPathPrependPrefixes gives prefixes a longer path.
type AsPathPrependPrefixes struct {
	Prefixes      []string `json:"prefixes"`
	AsPathPrepend uint8    `json:"asPathPrepend"`
}

// BFDProfile says how soon a dead neighbor is noticed.
type BFDProfile struct {
	Name             string  `json:"name"`
	ReceiveInterval  *uint32 `json:"receiveInterval"`
	TransmitInterval *uint32 `json:"transmitInterval"`
	DetectMultiplier *uint32 `json:"detectMultiplier"`
	EchoInterval     *uint32 `json:"echoInterval"`
	EchoMode         *bool   `json:"echoMode"`
	PassiveMode      *bool   `json:"passiveMode"`
	MinimumTTL       *uint32 `json:"minimumTtl"`
}

// DeepCopy returns a copy that shares nothing with the original.
func (in *FRRConfiguration) DeepCopy() *FRRConfiguration {
	out := new(FRRConfiguration)
	copied(in, out)
	return out
}

// DeepCopyObject does what DeepCopy does.
func (in *FRRConfiguration) DeepCopyObject() runtime.Object { return in.DeepCopy() }

// DeepCopyInto makes out a copy that shares nothing with the original.
func (in *FRRConfigurationSpec) DeepCopyInto(out *FRRConfigurationSpec) { copied(in, out) }

func copied(from, to any) {
	text, err := json.Marshal(from)
	if err != nil {
		panic(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		panic(err)
	}
}
