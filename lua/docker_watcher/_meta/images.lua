--- Images: the client's methods about them.
---@meta _

---@class docker_watcher.Client
local Client = {}

--- @section Images

--- Pulls one image.
---
--- Without a tag and a digest it is "latest"; with both, the digest decides. It has succeeded when no item of the
--- Engine's progress was an error, the stream ended as it should, and the image can be inspected. There is no
--- default timeout.
---@param image string  "ghcr.io/acme/web", with or without tag and digest
---@param tag? string  a tag, or a digest; wins over the one in `image`
---@param options? docker_watcher.PullOptions
---@return docker_watcher.Pulled? pulled
---@return docker_watcher.error? err  not_found (no such tag, or not for the platform), unauthorized, forbidden,
---  rate_limited, unreachable (the registry), and those of credential helpers
function Client:pull_image(image, tag, options) end

---@class docker_watcher.PullOptions: docker_watcher.CallOptions
--- false: none. Without it the docker command's own credentials are used: config.json, credential helpers,
--- DOCKER_AUTH_CONFIG
---@field auth? docker_watcher.Auth|false
---@field platform? string  "os/arch" or "os/arch/variant"
---@field on_progress? fun(event: docker_watcher.Progress)  is called for each item; may cancel, cannot yield

---@class docker_watcher.Pulled
---@field id string
---@field digest? string  nil where the Engine does not know it
---@field status "downloaded"|"up_to_date"

---@class docker_watcher.Progress
---@field id? string  of the layer
---@field status? string  the Engine's words
---@field current? integer  bytes, or what `units` says
---@field total? integer  as current
---@field units? string  "s" (seconds) for layers that containerd's store extracts

--- Credentials for a registry: username and password, or one of the tokens. They appear in no error, log or trace.
---@class docker_watcher.Auth
---@field username? string
---@field password? string
---@field identitytoken? string
---@field registrytoken? string
---@field serveraddress? string  else the image's registry
---@field email? string

--- What an image is made of.
---@param image any  its name, id, or a table with `id`
---@param options? docker_watcher.CallOptions
---@return docker_watcher.Image? image
---@return docker_watcher.error? err  not_found
function Client:inspect_image(image, options) end

---@class docker_watcher.Image
---@field id string
---@field tags string[]
---@field digests string[]  "repository@sha256:…"
---@field ports { port: integer, protocol: "tcp"|"udp"|"sctp" }[]  exposed ones, sorted, each once
---@field healthcheck? docker_watcher.Healthcheck
---@field labels table<string, string>
---@field env table<string, string>
---@field cmd? string[]
---@field entrypoint? string[]
---@field user? string
---@field working_dir? string
---@field stop_signal? string
---@field volumes string[]  sorted
---@field os string
---@field architecture string
---@field variant? string
---@field size integer  bytes
---@field created? string  RFC 3339
---@field raw table

--- A health check; times are seconds. What is absent is the Engine's default.
---@class docker_watcher.Healthcheck
---@field test? string|string[]  given: a shell command, or { "CMD", … }, { "CMD-SHELL", … }; found: always a list
---@field interval? number
---@field timeout? number
---@field start_period? number
---@field start_interval? number  needs API 1.44
---@field retries? integer

--- Lists images.
---@param options? docker_watcher.ListImagesOptions
---@return docker_watcher.ListedImage[]? images
---@return docker_watcher.error? err
function Client:list_images(options) end

---@class docker_watcher.ListImagesOptions: docker_watcher.CallOptions
---@field all? boolean  also the parents of others
---@field labels? table<string, string|true>  that they have; true: with any value
---@field reference? string|string[]  patterns like "web:1.*"
---@field dangling? boolean  true: only those without a tag
---@field before? string  created before this image
---@field since? string  created after this image

---@class docker_watcher.ListedImage
---@field id string
---@field tags string[]
---@field digests string[]
---@field labels table<string, string>
---@field created integer  seconds since 1970
---@field size integer  bytes
---@field raw table

--- Gives an image another name.
---@param image any
---@param target string  a name with or without tag ("latest"); without digest
---@param options? docker_watcher.CallOptions
---@return true? done
---@return docker_watcher.error? err  not_found
function Client:tag_image(image, target, options) end

--- Removes an image's name, and the image with its last one.
---
--- By its id all names go (with `force`, if there are several).
---@param image any
---@param options? docker_watcher.RemoveImageOptions
---@return { untagged: string?, deleted: string? }[]? steps  what was done, in order
---@return docker_watcher.error? err  not_found, conflict (a container uses it)
function Client:remove_image(image, options) end

---@class docker_watcher.RemoveImageOptions: docker_watcher.CallOptions
---@field force? boolean
---@field no_prune? boolean  keeps untagged parents

--- Builds an image.
---
---     local built = assert(client:build_image { context = "app", tag = "acme/web:1.4", build_args = { V = "1.4" } })
---
--- By the builder that every Engine has (the docker command calls it the legacy one). The context is sent while it is
--- read: a folder with what its .dockerignore leaves of it, owned by 0:0, or the archive that a reader gives. A
--- Dockerfile that is not in the folder is sent along. BuildKit is not spoken: an option or a Dockerfile (`# syntax=`,
--- `RUN --mount`) that asks for it gives an error that names the docker command to run. There is no default timeout.
---@param options docker_watcher.BuildOptions
---@return docker_watcher.Built? built
---@return docker_watcher.error? err  engine (a step failed; `step` is its line, `output` the text before), not_found,
---  forbidden or invalid (context or Dockerfile), version (BuildKit)
function Client:build_image(options) end

--- What to build; one of context, remote and dockerfile_text is needed.
---@class docker_watcher.BuildOptions: docker_watcher.StreamOptions
---@field context? any  a folder's path; or a reader of a tar archive: a function, or an object with read()
---@field remote? string  instead, a URL that the Engine fetches: a git repository, an archive, a Dockerfile
--- "Dockerfile"; relative to the folder, or absolute, in it or not; of a reader a name in the archive
---@field dockerfile? string
---@field dockerfile_text? string  the Dockerfile itself
---@field tag? string  a name for the image
---@field tags? string[]  more of them
---@field build_args? table<string, string|number>
---@field labels? table<string, string|number>
---@field target? string  a stage of the Dockerfile
---@field platform? string  "os/arch" or "os/arch/variant"
---@field no_cache? boolean
---@field pull? boolean  looks for newer base images
---@field network? string  for RUN
---@field cache_from? string|string[]  images
---@field memory? integer|string  bytes, or "512m"
---@field memory_swap? integer|string  memory and swap; -1: no limit
---@field shm_size? integer|string
---@field cpu_shares? integer
---@field cpu_period? integer
---@field cpu_quota? integer
---@field cpuset_cpus? string  "0-3", "0,1"
---@field extra_hosts? table<string, string>|string[]  { db = "10.0.0.7" } or { "db:10.0.0.7" }
---@field squash? boolean  needs an Engine with experimental features
---@field rm? boolean  removes the containers of steps: true
---@field force_rm? boolean  … of failed builds too
--- by registry; false: none. Without it those that the docker command would send
---@field auth? table<string, docker_watcher.Auth>|false
---@field buildkit? boolean  false: also what seems to need BuildKit is tried; true is refused, as are the next three
---@field secrets? any
---@field ssh? any
---@field outputs? any
---@field on_progress? fun(event: docker_watcher.BuildProgress)

---@class docker_watcher.BuildProgress: docker_watcher.Progress
---@field stream? string  the build's own text; else it is about the pull of a base image

---@class docker_watcher.Built
---@field id string
---@field warnings string[]
---@field output string  the end of the build's text

--- Images as a tar archive, as `docker save` makes it.
---
--- It comes as a stream and is never whole in memory. With `path` it is written to a file, which takes that name only
--- when it is complete.
---@param names any  an image, or a list of them
---@param options? docker_watcher.SaveOptions
---@return docker_watcher.Stream|{ path: string, size: integer }? archive  a stream of bytes; with path, what was
---  written
---@return docker_watcher.error? err  not_found, invalid (the file cannot be written)
function Client:save_image(names, options) end

---@class docker_watcher.SaveOptions: docker_watcher.StreamOptions
---@field platform? string  "os/architecture[/variant]"; needs API 1.48
---@field path? string  of the file

--- Loads images from a tar archive.
---@param source any  bytes, a function that gives some until nil, an object with read(), or { path = file }
---@param options? docker_watcher.LoadOptions
---@return { images: string[] }? loaded  their names, or ids where they have none
---@return docker_watcher.error? err  engine or stream (no image archive), not_found (the file)
function Client:load_image(source, options) end

---@class docker_watcher.LoadOptions: docker_watcher.CallOptions
---@field platform? string  "os/architecture[/variant]"; needs API 1.48
---@field on_progress? fun(event: docker_watcher.Progress)
---@field idle_timeout? number  seconds between two pieces of the reply

--- Makes an image of one layer from a tar archive of a file system.
---@param source any  as load_image's
---@param options? docker_watcher.ImportOptions
---@return { id: string }? image
---@return docker_watcher.error? err
function Client:import_image(source, options) end

---@class docker_watcher.ImportOptions: docker_watcher.CallOptions
---@field repository? string  its name
---@field tag? string
---@field message? string
---@field platform? string  "os/architecture"
---@field changes? string|string[]  lines of a Dockerfile: "CMD /server"
---@field on_progress? fun(event: docker_watcher.Progress)
---@field idle_timeout? number  seconds between two pieces of the reply

--- Pushes one tag to its registry.
---@param image any  "registry.example.com/acme/web", with or without tag
---@param tag? string  "latest" where there is none
---@param options? docker_watcher.PushOptions
---@return { tag: string?, digest: string?, size: integer? }? pushed
---@return docker_watcher.error? err  not_found (there is no such image), unauthorized, and those of credential helpers
function Client:push_image(image, tag, options) end

---@class docker_watcher.PushOptions: docker_watcher.CallOptions
---@field auth? docker_watcher.Auth|false  as pull_image's
---@field platform? string  "os/architecture[/variant]"; needs API 1.46
---@field on_progress? fun(event: docker_watcher.Progress)
---@field idle_timeout? number  seconds between two pieces of the reply

--- Asks Docker Hub for images.
---@param term string
---@param options? docker_watcher.SearchOptions
---@return { name: string, description: string, stars: integer, official: boolean }[]? found
---@return docker_watcher.error? err
function Client:search(term, options) end

---@class docker_watcher.SearchOptions: docker_watcher.CallOptions
---@field limit? integer  25
---@field official? boolean  only official ones, or only others
---@field stars? integer  so many at least

--- The steps that made an image, the newest first.
---@param image any
---@param options? docker_watcher.HistoryOptions
---@return docker_watcher.Step[]? steps
---@return docker_watcher.error? err  not_found
function Client:image_history(image, options) end

---@class docker_watcher.HistoryOptions: docker_watcher.CallOptions
---@field platform? string  "os/architecture[/variant]"; needs API 1.48

---@class docker_watcher.Step
---@field id? string
---@field created integer  seconds since 1970
---@field created_by string
---@field size integer  bytes
---@field comment? string
---@field tags string[]
