#!/bin/sh
# What the real image has on its path.
exec node /srv/node_modules/configurable-http-proxy/bin/configurable-http-proxy "$@"
