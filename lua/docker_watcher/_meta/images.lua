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
