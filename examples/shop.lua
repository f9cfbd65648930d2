-- A web shop with two stages. Check it with   docker-watcher check examples/shop.lua
-- and run it with                            docker-watcher run examples/shop.lua
--
-- The file is Lua: it may compute, and `require` files beside it. Periods are written "60s", "2 hours", or as seconds.
-- Passwords don't belong in it: password = secret "registry" reads DOCKER_WATCHER_SECRET_REGISTRY from the
-- environment, or the file "registry" (mode 0600) in the folder that secrets_dir names.

return {
  -- engine = "unix:///var/run/docker.sock",     -- default: as the docker command, by DOCKER_HOST
  -- secrets_dir = "./secrets",

  poll = { every = "60s", jitter = 0.1 }, -- how often registries are asked; a tenth of it is left to chance

  registries = {
    -- ["registry.example.com"] = { username = "ci", password = secret "registry" },
    ["10.0.0.5:5000"] = { insecure = true }, -- plain http; registries on this machine need no such entry
  },

  projects = {
    shop = {
      image = "registry.example.com/shop/web", -- without a tag: `tags` chooses it
      network = "staging-net",                 -- shared by the project's containers; made where it is missing
      env = { LOG = "info" },
      ports = "exposed",                       -- each EXPOSEd port gets a free port of the host

      stages = {
        -- Every version, release candidates too. Containers are reached as shop-staging in the network.
        staging = {
          tags = tags.semver { range = ">=1.0.0-0", prerelease = true },
          policy = policies.blue_green { healthy_within = "60s", keep = 1 },
        },
        -- Releases of the first major version only.
        production = {
          tags = tags.semver { range = "^1" },
          network = "production-net",
          env = { LOG = "warn" },
        },
      },
    },
  },
}
