# An image for CI steps: gpu-harness and what it starts.
#
#   cd dist && sha256sum --check SHA256SUMS && docker build -t gpu-harness:@VERSION@ .
#
# Your suites' programs run on the node; here only what builds them is needed, so a FROM of your own will do as well.
FROM debian:12-slim
COPY @DEB@ /tmp/
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates git openssh-client /tmp/@DEB@ \
 && rm -rf /var/lib/apt/lists/* /tmp/@DEB@
CMD ["gpu-harness", "--help"]
