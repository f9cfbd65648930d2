rockspec_format = "3.0"
package = "docker-watcher"
version = "scm-1"
source = {
  url = "git+file://.", -- `luarocks make` builds the checkout it is called in
}
description = {
  summary = "Watches image registries and deploys new tags as containers on a Docker Engine",
  detailed = [[
The Docker client for Lua, with its core in C, and a deployer on top of it: describe projects and stages in a Lua
file and run `docker-watcher run`.]],
  license = "MIT",
}
supported_platforms = { "linux", "macosx" }
dependencies = {
  "lua >= 5.4, < 5.5",
  "lua-cjson >= 2.1.0",
  "argparse >= 0.7.1",
}
-- Only the library is asked for: the folder of libcurl's header is one that LuaRocks 3.8 does not look into, though the
-- compiler finds it. Elsewhere CURL_DIR, UV_DIR and SODIUM_DIR (or …_INCDIR, …_LIBDIR) say where they are.
external_dependencies = {
  CURL = { library = "curl" },
  UV = { library = "uv" },
  SODIUM = { library = "sodium" },
}
build = {
  type = "builtin",
  modules = {
    ["docker_watcher.core"] = { sources = { "src/core.c" }, libraries = { "dl" } },
    ["docker_watcher.native"] = {
      sources = {
        "src/auth.c",
        "src/bridge.c",
        "src/buf.c",
        "src/call.c",
        "src/client.c",
        "src/container_body.c",
        "src/container_create.c",
        "src/container_inspect.c",
        "src/container_list.c",
        "src/container_logs.c",
        "src/container_net.c",
        "src/container_parts.c",
        "src/container_wait.c",
        "src/containers.c",
        "src/context.c",
        "src/endpoint.c",
        "src/frames.c",
        "src/http.c",
        "src/images.c",
        "src/json.c",
        "src/jsonlua.c",
        "src/jsonseq.c",
        "src/loop.c",
        "src/lx.c",
        "src/names.c",
        "src/native.c",
        "src/networks.c",
        "src/ops.c",
        "src/opslua.c",
        "src/pull.c",
        "src/pullerror.c",
        "src/ref.c",
        "src/shape.c",
        "src/stream.c",
        "src/task.c",
        "src/transport.c",
      },
      incdirs = { "$(CURL_INCDIR)", "$(UV_INCDIR)", "$(SODIUM_INCDIR)" },
      libdirs = { "$(CURL_LIBDIR)", "$(UV_LIBDIR)", "$(SODIUM_LIBDIR)" },
      libraries = { "curl", "uv", "sodium" },
    },
    ["docker_watcher.cli"] = "lua/docker_watcher/cli.lua",
    ["docker_watcher.cli.check"] = "lua/docker_watcher/cli/check.lua",
    ["docker_watcher.cli.columns"] = "lua/docker_watcher/cli/columns.lua",
    ["docker_watcher.cli.run"] = "lua/docker_watcher/cli/run.lua",
    ["docker_watcher.cli.status"] = "lua/docker_watcher/cli/status.lua",
    ["docker_watcher.config"] = "lua/docker_watcher/config.lua",
    ["docker_watcher.config.fields"] = "lua/docker_watcher/config/fields.lua",
    ["docker_watcher.config.lines"] = "lua/docker_watcher/config/lines.lua",
    ["docker_watcher.config.sandbox"] = "lua/docker_watcher/config/sandbox.lua",
    ["docker_watcher.config.schema"] = "lua/docker_watcher/config/schema.lua",
    ["docker_watcher.deployer"] = "lua/docker_watcher/deployer.lua",
    ["docker_watcher.deployer.observe"] = "lua/docker_watcher/deployer/observe.lua",
    ["docker_watcher.deployer.recover"] = "lua/docker_watcher/deployer/recover.lua",
    ["docker_watcher.deployer.steps"] = "lua/docker_watcher/deployer/steps.lua",
    ["docker_watcher.docker"] = "lua/docker_watcher/docker.lua",
    ["docker_watcher.duration"] = "lua/docker_watcher/duration.lua",
    ["docker_watcher.error"] = "lua/docker_watcher/error.lua",
    ["docker_watcher.gate"] = "lua/docker_watcher/gate.lua",
    ["docker_watcher.http"] = "lua/docker_watcher/http.lua",
    ["docker_watcher.json"] = "lua/docker_watcher/json.lua",
    ["docker_watcher.log"] = "lua/docker_watcher/log.lua",
    ["docker_watcher.loop"] = "lua/docker_watcher/loop.lua",
    ["docker_watcher.main"] = "lua/docker_watcher/main.lua",
    ["docker_watcher.nearest"] = "lua/docker_watcher/nearest.lua",
    ["docker_watcher.policies.blue_green"] = "lua/docker_watcher/policies/blue_green.lua",
    ["docker_watcher.policies"] = "lua/docker_watcher/policies/init.lua",
    ["docker_watcher.poller"] = "lua/docker_watcher/poller.lua",
    ["docker_watcher.ports"] = "lua/docker_watcher/ports.lua",
    ["docker_watcher.registry"] = "lua/docker_watcher/registry.lua",
    ["docker_watcher.registry.auth"] = "lua/docker_watcher/registry/auth.lua",
    ["docker_watcher.registry.headers"] = "lua/docker_watcher/registry/headers.lua",
    ["docker_watcher.registry.limits"] = "lua/docker_watcher/registry/limits.lua",
    ["docker_watcher.registry.url"] = "lua/docker_watcher/registry/url.lua",
    ["docker_watcher.secret"] = "lua/docker_watcher/secret.lua",
    ["docker_watcher.status"] = "lua/docker_watcher/status.lua",
    ["docker_watcher.tags"] = "lua/docker_watcher/tags/init.lua",
    ["docker_watcher.tags.range"] = "lua/docker_watcher/tags/range.lua",
    ["docker_watcher.tags.semver"] = "lua/docker_watcher/tags/semver.lua",
    ["docker_watcher.tags.version"] = "lua/docker_watcher/tags/version.lua",
    ["docker_watcher.watcher"] = "lua/docker_watcher/watcher.lua",
    ["docker_watcher.worker"] = "lua/docker_watcher/worker.lua",
  },
  install = {
    bin = { ["docker-watcher"] = "lua/docker_watcher/main.lua" },
  },
}
