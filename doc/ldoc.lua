--- Writes the reference's pages as LDoc's own comments: it does not know the annotations of the language server.
---
---     local command = ldoc.write("build/doc")     -- makes build/doc/ldoc; the command makes the HTML beside it

local pages = require "doc.pages"

local ldoc = {}

local places -- class → where it is told of, for links; while write() runs

local function find_places(all)
  local found = {}
  for _, page in ipairs(all) do
    local file = ("../%s/%s.html"):format(page.kind == "module" and "modules" or "classes", page.name)
    found[page.name] = page.kind == "class" and file or nil
    for _, item in ipairs(page.items) do
      local short = pages.short(item.name or "")
      if item.kind == "class" then
        found[short] = ("%s#%s%s"):format(file, page.kind == "class" and page.name .. "." or "", short)
      end
    end
  end
  return found
end

local function escape(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

local function html(text)
  text = escape(text)
  text = text:gsub("`([^`\n]+)`", "<code>%1</code>"):gsub("@", "&#64;")
  return (text:gsub("docker_watcher%.([%a][%w_]*)", function(name)
    return places[name] and ('<a href="%s">%s</a>'):format(places[name], name)
  end))
end

local function type_html(kind, optional)
  if kind == "" then return "" end
  return "<code>" .. html(kind):gsub("&#64;", "@") .. (optional and "?" or "") .. "</code>"
end

--- Paragraphs and indented code.
local function body(text)
  local parts, code = {}, nil
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local indented = line:match "^    (.*)$"
    if code and not indented and line ~= "" then
      parts[#parts + 1] = "<pre>" .. html(table.concat(code, "\n")):gsub("\n$", "") .. "</pre>"
      code = nil
    end
    if indented then
      code = code or {}
      code[#code + 1] = indented
    elseif not code then
      parts[#parts + 1] = line == "" and "<p>" or html(line)
    end
  end
  if code then parts[#parts + 1] = "<pre>" .. html(table.concat(code, "\n")) .. "</pre>" end
  return table.concat(parts, "\n")
end

local function write_file(file, lines)
  local handle <close> = assert(io.open(file, "w"))
  handle:write(table.concat(lines, "\n"), "\n")
end

local function comment(lines, text)
  for line in (text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = "-- " .. line end
end

local function one_line(text) return (text:gsub("\n", " ")) end

local function describe(lines, text, fallback)
  local first, rest = text:match "^(.-)\n\n(.*)$"
  first = first or text
  lines[#lines + 1] = "--- " .. one_line(html(first ~= "" and first or fallback))
  if rest then comment(lines, body(rest)) end
end

local function list_fields(lines, tag, fields)
  for _, f in ipairs(fields) do
    comment(lines, ("@%s %s %s %s"):format(tag, f.name, type_html(f.type, f.optional), one_line(html(f.text))))
  end
end

local function write_page(page, folder)
  local lines, section = {}, nil
  describe(lines, page.text, page.name)
  comment(lines, ("@%s %s"):format(page.kind == "module" and "module" or "classmod", page.name))
  lines[#lines + 1] = ""
  if page.fields and #page.fields > 0 then
    lines[#lines + 1] = "--- What it has besides functions."
    comment(lines, "@table Fields")
    list_fields(lines, "field", page.fields)
    lines[#lines + 1] = ""
  end
  local tables = {}
  for _, item in ipairs(page.items) do
    if item.kind == "section" then
      section = item.name
      lines[#lines + 1] = "--- " .. section
      comment(lines, "@section " .. section:gsub("%W", "_"))
    elseif item.kind == "class" then
      tables[#tables + 1] = item
    else
      describe(lines, item.text, item.name)
      comment(lines, "@function " .. (item.method and page.name .. ":" or pages.short(page.name) .. ".") .. item.name)
      for _, p in ipairs(item.params) do
        comment(lines, ("@param%s %s %s %s"):format(p.optional and "[opt]" or "", p.name, type_html(p.type),
          one_line(html(p.text))))
      end
      for _, r in ipairs(item.returns) do
        comment(lines, ("@return %s %s %s"):format(type_html(r.type), r.name and "<em>" .. r.name .. "</em>" or "",
          one_line(html(r.text))))
      end
    end
    lines[#lines + 1] = ""
  end
  if section then
    lines[#lines + 1] = "--- Tables"
    comment(lines, "@section Tables")
    lines[#lines + 1] = ""
  end
  for _, item in ipairs(tables) do
    describe(lines, item.text, pages.short(item.name) .. ".")
    if item.parent then
      comment(lines, ("<p>And all of %s."):format(html(item.parent)))
    end
    comment(lines, "@table " .. pages.short(item.name))
    list_fields(lines, "field", item.fields)
    lines[#lines + 1] = ""
  end
  lines[#lines + 1] = "return nil"
  write_file(("%s/%s-%s.lua"):format(folder, page.kind, page.name), lines)
end

---@param out string  a folder that is there
---@return string command  to be run by a shell
function ldoc.write(out)
  local all, files, folder = pages.all(), {}, out .. "/ldoc"
  places = find_places(all)
  assert(os.execute(("mkdir -p '%s'"):format(folder)))
  for _, page in ipairs(all) do
    write_page(page, folder)
    files[#files + 1] = ("%q"):format(("%s/%s-%s.lua"):format(folder, page.kind, page.name))
  end
  write_file(folder .. "/config.ld", {
    'project = "docker-watcher"', 'title = "docker-watcher: API reference"',
    'description = "The Docker client for Lua 5.4, and what docker-watcher is made of."',
    'format = "plain"', "sort = false", "no_space_before_args = true", "not_luadoc = true",
    "file = { " .. table.concat(files, ", ") .. " }",
  })
  return ("ldoc --fatalwarnings -q -c '%s/config.ld' -d '%s' '%s'"):format(folder, out, folder)
end

return ldoc
