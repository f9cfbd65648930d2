#!/usr/bin/env lua5.4
--- The command docker-watcher, as it is installed. All it does is in docker_watcher.cli.

os.exit(require("docker_watcher.cli").main(arg), true)
