#!/bin/sh
# Prints an environment file with fresh keys for compose.yaml, or for `docker run --env-file`: deploy/make-env.sh > deploy/.env
set -eu
random() { openssl rand "$@" || { echo "openssl is needed to make keys" >&2; exit 1; }; }
secret_key=$(random -base64 32)
internal_token=$(random -hex 24)
api_key=lh_$(random -hex 24)
cat <<END
# Keep this file: without SECRET_KEY, stored webhook secrets can't be read. Never commit it.
SECRET_KEY=$secret_key
INTERNAL_TOKEN=$internal_token
# project=key, comma separated. Callers send: Authorization: Bearer lh_...
API_KEYS=default=$api_key
# Private networks (CIDR, comma separated) that workflows and webhooks may call.
OUTBOUND_ALLOW=
END
