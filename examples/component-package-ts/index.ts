// Two clusters joined by a program in TypeScript, of dcmesh's component package: docs/start/component-package.md.
import * as dcmesh from "@dcmesh/dcmesh";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
const kubeconfig = config.require("kubeconfig"); // path of a kubeconfig with the contexts dc1 and dc2
const istioVersion = config.get("istioVersion") ?? "1.31.0";
const charts = config.get("charts") ?? "oci://ghcr.io/istio/release/charts"; // where Istio's charts come from

// The same for exporter and importer.
const orders = {
    name: "orders",
    namespace: "shop",
    statefulSet: "db",
    service: "db",
    replicas: 2,
    port: 3306,
    serviceAccount: "db",
    trustDomain: "dc1.dcmesh",
    consumers: [{ site: "dc2", namespace: "shop-dr", serviceAccount: "db", trustDomain: "dc2.dcmesh" }],
};

const ca = new dcmesh.SharedCA("ca", { sites: { dc1: "dc1.dcmesh", dc2: "dc2.dcmesh" } });

const dc1 = new k8s.Provider("dc1", { kubeconfig, context: "dc1" });
const dc2 = new k8s.Provider("dc2", { kubeconfig, context: "dc2" });

/** Istio in a site's cluster, whose istiod signs with the site's own intermediate. */
function istio(site: string, provider: k8s.Provider, values: { [key: string]: pulumi.Input<object> }) {
    const system = new k8s.core.v1.Namespace(`${site}-istio-system`, { metadata: { name: "istio-system" } }, { provider });
    const namespace = system.metadata.name;
    const cacerts = new k8s.core.v1.Secret(`${site}-cacerts`, {
        metadata: { name: "cacerts", namespace },
        stringData: ca.cacerts.apply((of) => of[site]),
    }, { provider });
    const base = new k8s.helm.v3.Release(`${site}-base`, {
        name: "istio-base", namespace, chart: `${charts}/base`, version: istioVersion,
    }, { provider });
    return new k8s.helm.v3.Release(`${site}-istiod`, {
        name: "istiod", namespace, chart: `${charts}/istiod`, version: istioVersion, values,
    }, { provider, dependsOn: [base, cacerts] });
}

const dc1Istiod = istio("dc1", dc1, {
    env: { PILOT_SCOPE_GATEWAY_TO_NAMESPACE: "true" }, // else any namespace's Gateway opens dcmesh's gateway too
    meshConfig: { trustDomain: "dc1.dcmesh" },
});
const gateway = new dcmesh.EastWestGateway("gateway", { istioVersion, chartRepository: charts }, {
    providers: [dc1], dependsOn: dc1Istiod,
});
const ordersExport = new dcmesh.ServiceExport("orders-export", { export: orders, selector: { app: "db" } }, {
    providers: [dc1], dependsOn: gateway,
});

const dc2Istiod = istio("dc2", dc2, {
    meshConfig: {
        trustDomain: "dc2.dcmesh",
        // Consumers look up the hosts of the other site.
        defaultConfig: { proxyMetadata: { ISTIO_META_DNS_CAPTURE: "true" } },
    },
});
new dcmesh.ServiceImport("orders-import", {
    source: "dc1",
    export: orders,
    namespace: "shop-dr",
    gatewayAddresses: gateway.addresses,
}, { providers: [dc2], dependsOn: dc2Istiod });

export const hosts = ordersExport.hosts;
