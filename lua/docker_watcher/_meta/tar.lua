--- docker_watcher.tar: tar archives as streams. No archive, and no file, is ever whole in memory.
---
---     local reader = tar.pack { { path = "src" }, { name = "VERSION", data = "1.4\n" } }   -- reader:read() -> bytes
---     for entry in tar.unpack(reader) do print(entry.type, entry.name, entry.size) end
---     local done, err = tar.extract(reader, "/tmp/there")
---
--- A reader is a function or an object with read(), which gives bytes, nil at the end, or nil and an error; it may
--- yield.
---@meta _

--- What `require "docker_watcher.tar"` gives: a C module of its own, which needs libarchive.
---@class docker_watcher.tar
local tar = {}

--- Makes an archive, piece by piece while it is read.
---
--- A file that grows meanwhile is sent as long as it was; one that has become shorter, or can't be read, ends the
--- archive with an error that names it. Several names of one file become hard links. Sockets are passed by.
---@param entries docker_watcher.TarItem[]|fun(): docker_watcher.TarItem?, any  a list, or what gives the next one
---  each time, nil at the end, or nil and an error; it may yield
---@param options? docker_watcher.PackOptions
---@return docker_watcher.TarWriter
function tar.pack(entries, options) end

--- What goes into an archive: one of `path`, `data` and `type`.
---@class docker_watcher.TarItem
---@field path? string  a file, link or folder of this machine; a folder with all that is in it
---@field name? string  in the archive; else a file's last part, and of a folder only what is in it
---@field data? string  a file's content
---@field type? "folder"|"symlink"|"hardlink"
---@field link? string  the target of a symlink or hardlink
---@field mode? integer  0 to 07777
---@field uid? integer
---@field gid? integer
---@field mtime? integer  seconds since 1970
--- of a folder: false leaves it out with all that is in it, "inside" leaves the folder out and asks for what is in
--- it
---@field filter? fun(name: string, type: string): boolean|"inside"
---@field follow? boolean  true: path may be a link

--- For all entries that say nothing themselves.
---@class docker_watcher.PackOptions
---@field uid? integer
---@field gid? integer
---@field mtime? integer  seconds since 1970

--- An archive that is being made; to be called by a for loop as well.
---@class docker_watcher.TarWriter
---@overload fun(): string?
local TarWriter = {}

--- The archive's next bytes.
---@return string? bytes  nil at the end
---@return docker_watcher.error? err  not_found, forbidden, invalid, conflict (a file became shorter), too_large
function TarWriter:read() end

--- Closes the file that it is in. Harmless when repeated.
function TarWriter:close() end

--- Reads an archive.
---
---     for entry in tar.unpack(reader) do … end      -- raises what next() would return as err
---@param reader any  it is read to its end, not closed; compressed archives are not taken
---@return docker_watcher.TarReader
function tar.unpack(reader) end

--- An archive that is being read.
---@class docker_watcher.TarReader
---@overload fun(): docker_watcher.TarEntry?
local TarReader = {}

--- The next entry; what was not read of the last one is passed over.
---@return docker_watcher.TarEntry? entry  nil at the end
---@return docker_watcher.error? err  protocol (no archive, or a broken one), interrupted (it was cut), too_large, and
---  the reader's own
function TarReader:next() end

--- Forgets the reader. Harmless when repeated.
function TarReader:close() end

--- One entry of an archive that is being read.
---@class docker_watcher.TarEntry
---@field name string  as the archive has it: it may be absolute, or hold ".."
---@field type "file"|"folder"|"symlink"|"hardlink"|"fifo"|"char"|"block"|"unknown"
---@field size integer
---@field mode integer
---@field mtime integer  seconds since 1970
---@field uid integer
---@field gid integer
---@field link? string  the target of a symlink or hardlink
local TarEntry = {}

--- The entry's next bytes, as long as it is the last one that next() gave.
---@return string? bytes  nil at its end
---@return docker_watcher.error? err
function TarEntry:read() end

--- Puts an archive into a folder, and nothing anywhere else.
---
--- The folder is made where it is missing (its parent is not). Absolute names, "..", names that lead through a
--- symbolic link, and hard links to what is not in the folder are refused. What is there already and is no folder is
--- replaced. An error leaves what was extracted before.
---@param reader any
---@param folder string
---@param options? docker_watcher.ExtractOptions
---@return { files: integer, folders: integer, links: integer, bytes: integer, skipped: string[] }? done  skipped:
---  names of devices, which are never made
---@return docker_watcher.error? err  invalid (a name that is refused), protocol, interrupted, too_large, not_found,
---  forbidden, conflict, and the reader's own
function tar.extract(reader, folder, options) end

---@class docker_watcher.ExtractOptions
---@field setid? boolean  true: setuid and setgid as the archive has them
---@field owner? boolean  true: owners as the archive has them
---@field rename? fun(name: string): string?  nil leaves it out
---@field max_bytes? integer
---@field max_entries? integer

--- What a path of this machine leads to, symbolic links followed.
---@param path string
---@return docker_watcher.TarStat? what
---@return docker_watcher.error? err  not_found, forbidden
function tar.stat(path) end

---@class docker_watcher.TarStat
---@field type "file"|"folder"|"symlink"|"fifo"|"char"|"block"|"socket"|"unknown"  "symlink": it leads nowhere
---@field size integer
---@field mode integer
---@field mtime integer  seconds since 1970
---@field link boolean  the path itself is a symbolic link
---@field real? string  the absolute path without links; nil where it leads nowhere
