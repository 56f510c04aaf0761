#!/usr/bin/env bash
# What a careful platform engineer types without dcmesh: the steps of Istio's multi-cluster demo in their order, with
# openssl, kubectl and helm. Each step is awaited before the next. The script ends when every host is answered by its
# own pod.
# Arguments: DIRECTORY, with a kubeconfig for each site and the files that by_hand.py writes; CHARTS, the directory of
# Istio's charts. The script prints "step NAME" when a step begins.
set -euo pipefail
charts=$2
cd "$1"

on() { # SITE COMMAND...: kubectl or helm with that site's kubeconfig
  local site=$1
  shift
  KUBECONFIG=$site.kubeconfig "$@"
}

step() { echo "step $*"; }

key() { openssl ecparam -name secp384r1 -genkey -noout -out "$1"; }

step certificates
key root-key.pem
openssl req -x509 -new -sha384 -key root-key.pem -subj "/O=example/CN=Root CA" -days 3650 -out root-cert.pem \
  -addext "basicConstraints=critical,CA:TRUE,pathlen:1" -addext "keyUsage=critical,keyCertSign,cRLSign"
printf '%s\n' "basicConstraints=critical,CA:TRUE" "keyUsage=critical,keyCertSign,cRLSign" \
  "subjectKeyIdentifier=hash" "authorityKeyIdentifier=keyid" >ca.ext
for site in dc1 dc2; do
  mkdir "$site"
  key "$site/ca-key.pem"
  openssl req -new -sha384 -key "$site/ca-key.pem" -subj "/O=example/CN=Intermediate CA $site" -out "$site/ca.csr"
  openssl x509 -req -sha384 -in "$site/ca.csr" -CA root-cert.pem -CAkey root-key.pem -CAcreateserial -days 730 \
    -extfile ca.ext -out "$site/ca-cert.pem" 2>/dev/null
  cat "$site/ca-cert.pem" root-cert.pem >"$site/cert-chain.pem"
  cp root-cert.pem "$site/"
done

for site in dc1 dc2; do
  step "$site cacerts"
  on "$site" kubectl create namespace istio-system
  on "$site" kubectl create secret generic cacerts --namespace istio-system --from-file="$site/ca-cert.pem" \
    --from-file="$site/ca-key.pem" --from-file="$site/root-cert.pem" --from-file="$site/cert-chain.pem"
done

for site in dc1 dc2; do
  step "$site istio-base"
  on "$site" helm install istio-base "$charts/base" --namespace istio-system --wait
  step "$site istiod"
  on "$site" helm install istiod "$charts/istiod" --namespace istio-system --values "$site-istiod.yaml" --wait
done

step dc1 gateway
on dc1 kubectl create namespace dcmesh-gateway
on dc1 kubectl apply --filename dc1-gateway-service.yaml
on dc1 helm install istio-eastwestgateway "$charts/gateway" --namespace dcmesh-gateway --values dc1-gateway.yaml --wait

step dc1 gateway address
ip='{.status.loadBalancer.ingress[0].ip}'
gateway=(service/istio-eastwestgateway --namespace dcmesh-gateway --output "jsonpath=$ip")
on dc1 kubectl wait service/istio-eastwestgateway --namespace dcmesh-gateway --for="jsonpath=$ip" --timeout=120s
address=$(on dc1 kubectl get "${gateway[@]}")

step dc1 hello
on dc1 kubectl apply --filename dc1-hello.yaml
on dc1 kubectl rollout status statefulset/hello --namespace demo --timeout=120s

step dc1 exports
on dc1 kubectl apply --filename dc1-exports.yaml

step dc2 client
on dc2 kubectl apply --filename dc2-client.yaml
on dc2 kubectl rollout status deployment/client --namespace demo-dr --timeout=120s

step dc2 imports
sed "s/GATEWAY_ADDRESS/$address/" dc2-imports.yaml | on dc2 kubectl apply --filename -

answered() { # POD: succeed if this pod answers at its own host
  local answer
  answer=$(on dc2 kubectl exec --namespace demo-dr deployment/client --container agnhost -- \
    curl --silent --max-time 2 "http://$1.hello.demo.svc.cluster.local:8080" || true)
  [ "$answer" = "$1" ]
}

step first answer
until answered hello-0; do sleep 0.2; done
step other answers
for pod in hello-1 hello-2; do
  until answered "$pod"; do sleep 0.2; done
done
