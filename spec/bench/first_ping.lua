-- first_ping.lua HOST: a process that connects, pings once, and ends; startup.c measures it as a whole.
assert(assert(require "docker_watcher.docker".connect { host = arg[1] }):ping())
