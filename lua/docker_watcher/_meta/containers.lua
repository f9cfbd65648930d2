--- Containers: the client's methods about them.
---@meta _

---@class docker_watcher.Client
local Client = {}

--- @section Containers

--- Makes a container; it does not start it.
---
--- With `project` and `stage` it is a managed one: it gets the labels of ownership and an instance id, and with
--- `tag` its deterministic name.
---@param options docker_watcher.CreateOptions
---@return { id: string, name: string, instance_id: string?, warnings: string[] }? container
---@return docker_watcher.error? err  not_found (no such image: pull it first), conflict (the name is taken), version
---  (an option that the Engine's API lacks)
function Client:create_container(options) end

---@class docker_watcher.CreateOptions: docker_watcher.CallOptions
---@field image any  required: a name, an id, or a table with `id`
---@field name? string  else the Engine chooses one
---@field project? string  of a managed container, with stage
---@field stage? string
---@field tag? string  of a managed container: makes its name and label
---@field digest? string  of a managed container: "sha256:…", for its label
---@field instance_id? string  of a managed container; else a random one
---@field env? table<string, string|number|boolean>|string[]  { NAME = value }, or { "NAME=value" }
---@field labels? table<string, string>
---@field annotations? table<string, string>  needs API 1.43
--- "exposed": each EXPOSEd port on a free one of the host. Or by "8080/tcp": true (a free one), 18080, { host_ip =
--- , host_port = }, or a list of those
---@field ports? "exposed"|table<string, any>
---@field network? string  a network's name, "host", "none" or "container:ID"
---@field aliases? string[]  its names on that network
---@field cmd? string|string[]
---@field entrypoint? string|string[]
---@field user? string
---@field working_dir? string
---@field hostname? string
---@field domainname? string
---@field mounts? docker_watcher.Mount[]
---@field volumes? string[]  absolute paths that get an anonymous volume each
---@field binds? string|string[]  "/host/path:/path:ro"
---@field tmpfs? string[]|table<string, string>  absolute paths, or { ["/run"] = "size=64m" }
---@field restart? string  "no", "always", "unless-stopped", "on-failure" or "on-failure:3"
---@field healthcheck? docker_watcher.Healthcheck|false  false: none, although the image has one
---@field memory? integer|string  bytes, or "512m"
---@field memory_swap? integer|string  memory and swap together; -1: no limit
---@field cpus? number  1.5
---@field pids_limit? integer  -1: none
---@field stop_timeout? integer  seconds until stop kills it; -1: never
---@field stop_signal? string  "SIGTERM"
---@field init? boolean  an init process that reaps children
---@field read_only? boolean  the root file system
---@field privileged? boolean
---@field cap_add? string|string[]
---@field cap_drop? string|string[]
---@field security_opt? string|string[]
---@field dns? string|string[]
---@field dns_search? string|string[]
---@field extra_hosts? string|string[]  "name:address"
---@field group_add? string|string[]
---@field ulimits? table<string, integer|{ soft: integer, hard: integer }>  { nofile = 1024 }; -1: no limit
---@field log_driver? string
---@field log_options? table<string, string|number|boolean>
---@field tty? boolean
---@field open_stdin? boolean
---@field shm_size? integer|string  bytes, or "64m"
---@field devices? string[]  "/dev/fuse", "/dev/sda:/dev/disk:rwm"
---@field platform? string  "os/arch"
---@field auto_remove? boolean  removed by the Engine when it ends
---@field raw? table  what the Engine takes and has no name here, merged over the rest: { HostConfig = { … } }

---@class docker_watcher.Mount
---@field type? "volume"|"bind"|"tmpfs"|"npipe"|"cluster"|"image"  volume
---@field source? string  a volume's name, or a path; needed by bind and image
---@field target string  an absolute path in the container
---@field read_only? boolean

--- Starts a container.
---
--- True also where it runs already. One whose start has failed stays behind, in the state "created".
---@param id any
---@param options? docker_watcher.CallOptions
---@return true? done
---@return docker_watcher.error? err  not_found, conflict (it is paused, or being removed), invalid or engine (why it
---  did not start)
function Client:start_container(id, options) end

--- Stops a container: by a signal, and by force when it is still there after stop_timeout.
---
--- True also where it is stopped already. The Engine goes on with it even where the call ends early. stop_timeout is
--- added to the call's timeout.
---@param id any
---@param options? docker_watcher.StopOptions
---@return true? done
---@return docker_watcher.error? err  not_found
function Client:stop_container(id, options) end

---@class docker_watcher.StopOptions: docker_watcher.CallOptions
---@field stop_timeout? integer  seconds until it is killed: 10. 0: at once; -1: never
---@field signal? string  "SIGTERM", else the container's; needs API 1.42

--- Stops a container as stop_container does, and starts it again.
---@param id any
---@param options? docker_watcher.StopOptions
---@return true? done
---@return docker_watcher.error? err  not_found, and those of start_container
function Client:restart_container(id, options) end

--- Removes a container.
---
--- Where somebody else is removing it, it waits until it is gone.
---@param id any
---@param options? docker_watcher.RemoveContainerOptions
---@return true? done
---@return docker_watcher.error? err  not_found, conflict (it runs, and `force` was not given)
function Client:remove_container(id, options) end

---@class docker_watcher.RemoveContainerOptions: docker_watcher.CallOptions
---@field force? boolean  kills it first
---@field volumes? boolean  its anonymous volumes as well

--- Lists containers: those that run, or `all`.
---@param options? docker_watcher.ListContainersOptions
---@return docker_watcher.ListedContainer[]? containers
---@return docker_watcher.error? err
function Client:list_containers(options) end

---@class docker_watcher.ListContainersOptions: docker_watcher.CallOptions
---@field all? boolean  also those that do not run
---@field labels? table<string, string|true>  that they have; true: with any value
---@field status? string|string[]  "running", "exited", …
---@field name? string  exactly this
---@field managed? boolean  true: only those with the labels of ownership
---@field project? string  only this project's
---@field stage? string  only this stage's
---@field limit? integer  the newest so many, running or not
---@field filters? table<string, any>  the Engine's own filters

---@class docker_watcher.ListedContainer
---@field id string
---@field name string  without "/"
---@field image string
---@field image_id string
---@field state "created"|"running"|"paused"|"restarting"|"removing"|"exited"|"dead"
---@field status string  for people: "Up 2 hours"
---@field labels table<string, string>
---@field ports { port: integer, protocol: string, host_ip: string?, host_port: integer? }[]
---@field created integer  seconds since 1970
---@field raw table

--- What a container is and how it is doing.
---@param id any
---@param options? docker_watcher.CallOptions
---@return docker_watcher.Container? container
---@return docker_watcher.error? err  not_found
function Client:inspect_container(id, options) end

---@class docker_watcher.Container
---@field id string
---@field name string  without "/"
---@field image string  as it was named at create
---@field image_id string
---@field state "created"|"running"|"paused"|"restarting"|"removing"|"exited"|"dead"
---@field health? "starting"|"healthy"|"unhealthy"  while it runs and has a health check
---@field exit_code integer
---@field error? string  why it could not be started
---@field created string  RFC 3339; so are the next two
---@field started_at? string
---@field finished_at? string
---@field restart_count integer
---@field labels table<string, string>
---@field env table<string, string>
---@field ports table<string, { host_ip: string?, host_port: integer? }[]>  by "8080/tcp"; {}: exposed, not published
---@field networks table<string, docker_watcher.ContainerNetwork>  by the network's name
---@field raw table

---@class docker_watcher.ContainerNetwork
---@field id? string
---@field ip? string
---@field gateway? string
---@field aliases string[]
---@field mac? string

--- Waits until a container has ended.
---
--- Of one that was created and never started it is told at once; to see the end of what is started later, begin to
--- wait before that with the condition "next-exit". There is no default timeout.
---@param id any
---@param options? docker_watcher.WaitOptions
---@return { exit_code: integer }? ended
---@return docker_watcher.error? err  not_found, engine (the wait failed)
function Client:wait_container(id, options) end

---@class docker_watcher.WaitOptions: docker_watcher.CallOptions
---@field condition? "not-running"|"next-exit"|"removed"  "not-running"

--- Waits until a container's health check has passed; one without a health check, until it runs.
---
--- It fails as soon as that cannot happen any more: the container is unhealthy, has ended, or is restarted over and
--- over.
---@param id any
---@param options? docker_watcher.CallOptions
---@return true? healthy
---@return docker_watcher.error? err  not_found, engine, timeout; with the fields state, health, exit_code, probe
---  (what the last probe printed) and log (the end of the container's log)
function Client:wait_healthy(id, options) end

--- A container's log.
---
---     for chunk, output in client:logs("web", { follow = true }) do io.write(chunk) end
---
--- Chunks are not lines. There is no default timeout.
---@param id any
---@param options? docker_watcher.LogsOptions
---@return docker_watcher.Stream? stream  of chunk and "stdout" or "stderr"; with a TTY it is all "stdout"
---@return docker_watcher.error? err  not_found
function Client:logs(id, options) end

---@class docker_watcher.LogsOptions: docker_watcher.StreamOptions
---@field follow? boolean  goes on until the container ends
---@field stdout? boolean  true
---@field stderr? boolean  true
---@field tail? integer|"all"  so many lines from its end: "all"
---@field since? number  seconds since 1970
---@field until_? number  seconds since 1970
---@field timestamps? boolean  an RFC 3339 time before each line

--- Copies files into a container, which need not run.
---
---     client:copy_in("web", "/etc/web", "conf/")                                      -- a folder, or a file
---     client:copy_in("web", "/etc/web", { { name = "app.toml", data = "k = 1\n" } })   -- what tar.pack takes
---
--- A file or folder of this machine goes where `docker cp` would put it: into the folder at `path` by its own name
--- (with "folder/." only what is in it), else it becomes what `path` names. Entries and archives go into the folder at
--- `path`, which must be there. There is no default timeout.
---@param id any
---@param path string  in the container
---@param source any  a path of this machine; a list of docker_watcher.TarItem; or a reader of a tar archive
---@param options? docker_watcher.CopyInOptions
---@return true? done
---@return docker_watcher.error? err  not_found, conflict (a folder onto a file), forbidden, and of what is read here
---  those of tar.pack
function Client:copy_in(id, path, source, options) end

---@class docker_watcher.CopyInOptions: docker_watcher.StreamOptions
---@field uid? integer  of all that is copied; else as here
---@field gid? integer
---@field follow? boolean  the source may be a symbolic link to what is copied
---@field overwrite? boolean  a file may replace a folder, and a folder a file
---@field to_user? boolean  owners are mapped to the container's user, as docker cp -a does

--- Copies files out of a container, which need not run.
---
---     client:copy_out("web", "/var/log", "logs")
---     for bytes in client:copy_out("web", "/var/log") do file:write(bytes) end      -- the tar archive itself
---
--- With a target it goes where `docker cp` would put it: into a folder that is there by its own name (with "/path/."
--- only what is in it), else it becomes what `target` names. It never goes anywhere else, whatever the archive says
--- (tar.extract). There is no default timeout.
---@param id any
---@param path string  in the container
---@param target? string  a path of this machine
---@param options? docker_watcher.CopyOutOptions
---@return docker_watcher.CopiedOut|docker_watcher.ContainerArchive|nil done  the latter without a target
---@return docker_watcher.error? err  not_found, conflict (a folder onto a file), and those of tar.extract
function Client:copy_out(id, path, target, options) end

---@class docker_watcher.CopiedOut
---@field files integer
---@field folders integer
---@field links integer
---@field bytes integer
---@field skipped string[]  names of devices, which are never made
---@field stat docker_watcher.PathStat  of the path

---@class docker_watcher.CopyOutOptions: docker_watcher.StreamOptions
---@field follow? boolean  path may be a symbolic link to what is copied
---@field owner? boolean  owners as in the container
---@field setid? boolean  setuid and setgid as in the container
---@field max_bytes? integer
---@field max_entries? integer

--- What is at a path in a container; symbolic links are not followed.
---@param id any
---@param path string
---@param options? docker_watcher.CallOptions
---@return docker_watcher.PathStat? stat
---@return docker_watcher.error? err  not_found
function Client:stat_path(id, path, options) end

---@class docker_watcher.PathStat
---@field name string  the path's last part
---@field type "file"|"folder"|"symlink"|"fifo"|"char"|"block"|"socket"
---@field size integer
---@field mode integer  07777 at most
---@field mtime string  RFC 3339
---@field link? string  what a symbolic link leads to

--- All files of a container as a tar archive: what is in its volumes is not there.
---
---     for bytes in client:export("web") do file:write(bytes) end
---@param id any
---@param options? docker_watcher.StreamOptions
---@return docker_watcher.Stream? stream  of bytes
---@return docker_watcher.error? err  not_found
function Client:export(id, options) end

--- What runs in a container, as ps lists it.
---@param id any
---@param options? docker_watcher.TopOptions
---@return { titles: string[], processes: string[][] }? processes
---@return docker_watcher.error? err  not_found, conflict or engine (it is not running)
function Client:top(id, options) end

---@class docker_watcher.TopOptions: docker_watcher.CallOptions
---@field ps_args? string  "-ef"

--- What differs in a container's file system from its image.
---@param id any
---@param options? docker_watcher.CallOptions
---@return { path: string, kind: "added"|"modified"|"deleted" }[]? changes
---@return docker_watcher.error? err  not_found
function Client:changes(id, options) end

--- Makes an image of a container.
---@param id any
---@param options? docker_watcher.CommitOptions
---@return { id: string }? image
---@return docker_watcher.error? err  not_found
function Client:commit(id, options) end

---@class docker_watcher.CommitOptions: docker_watcher.CallOptions
---@field repository? string  its name
---@field tag? string
---@field message? string
---@field author? string
---@field pause? boolean  the container meanwhile: true
---@field changes? string|string[]  lines of a Dockerfile: "ENV A=b"
---@field config? table  the Engine's ContainerConfig

--- Gives a container another name.
---@param id any
---@param name string
---@param options? docker_watcher.CallOptions
---@return true? renamed
---@return docker_watcher.error? err  not_found, conflict (the name is taken)
function Client:rename_container(id, name, options) end

--- Freezes a container's processes.
---@param id any
---@param options? docker_watcher.CallOptions
---@return true? paused
---@return docker_watcher.error? err  not_found, conflict (it is paused, or not running)
function Client:pause_container(id, options) end

--- Thaws them.
---@param id any
---@param options? docker_watcher.CallOptions
---@return true? unpaused
---@return docker_watcher.error? err  not_found, conflict (it is not paused)
function Client:unpause_container(id, options) end

--- Sends a container's first process a signal.
---@param id any
---@param options? docker_watcher.KillOptions
---@return true? sent
---@return docker_watcher.error? err  not_found, conflict (it is not running)
function Client:kill_container(id, options) end

---@class docker_watcher.KillOptions: docker_watcher.CallOptions
---@field signal? string  "SIGKILL"

--- Tells a container's terminal its size.
---@param id any
---@param rows integer
---@param columns integer
---@param options? docker_watcher.CallOptions
---@return true? resized
---@return docker_watcher.error? err  not_found, conflict (it is not running)
function Client:resize_container(id, rows, columns, options) end

--- The tar archive that copy_out gives without a target; to be called by a for loop as well, which raises what read()
--- would return as err.
---@class docker_watcher.ContainerArchive
---@field stat docker_watcher.PathStat  of the path
---@overload fun(): string?
local ContainerArchive = {}

--- The archive's next bytes.
---@return string? bytes  nil at the end
---@return docker_watcher.error? err  as docker_watcher.Stream's
function ContainerArchive:read() end

--- Closes it, and with it the connection. Harmless when repeated; `<close>` does it.
function ContainerArchive:close() end
