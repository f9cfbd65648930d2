-- only_libcurl.lua: a process that has loaded libcurl and ends: what first_ping.lua is measured against.
assert(package.loadlib("libcurl.so.4", "*"))
