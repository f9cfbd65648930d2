/* ops.c: the Engine's operations, see ops.h.
**
** The rows hold facts and two judgements. The facts (verb, path, parameter names, body, success statuses) are the
** specification's, and spec/unit/ops_spec.lua holds them against an extract of it. Where the daemon knows more than its
** specification says, the row follows the daemon; each such place is in the list `beyond` of that spec:
**   - BuildPrune takes `keep-storage` too: the name of `reserved-space` before 1.48;
**   - DistributionInspect, GetPluginPrivileges and PluginPush read X-Registry-Auth;
**   - ExecStart and the attach calls answer 101 when asked to upgrade, 200 when not;
**   - PluginPull and PluginUpgrade answer 200 with progress, as pull does; 204 is what the specification has.
**
** The first judgement is the kind of reply. PluginDelete is typed in the specification, but the daemon sends nothing.
** SystemAuth may answer 204 without a body although it is JSON otherwise.
**
** The second is AGAIN or ONCE: may a request be sent again after its connection died before an answer came, when
** nobody knows whether it was carried out? Reading is harmless, and so is deleting: a 404 at the second try says that
** the thing is gone. Of the others these are AGAIN:
**   - ContainerStart, ContainerStop: a container already in that state answers 304;
**   - ContainerResize, ExecResize, ContainerUpdate, ImageTag, PluginSet: they set a value to what it was told to be;
**   - ImagePush: what the registry has is not sent twice; SystemAuth only asks.
** Everything else stays ONCE. Creating twice makes two, or a conflict with oneself. A second signal or restart is a
** second signal or restart. Pause, unpause, connect, enable, their opposites, and rename refuse the second time, and so
** does every update with a `version` (VolumeUpdate too, though it is a PUT): a success would be reported as a failure.
** A prune would report only what the second run found. ContainerWait for the next exit might wait for the one after it.
** What streams a body (PutContainerArchive, ImageCreate's import, ImageLoad, ImageBuild) can't be replayed. */

#include "ops.h"

#include <stdlib.h>
#include <string.h>

enum { ONCE, AGAIN };

/* id, verb, path, query names, header names,
**   body, since, good statuses, reply, again? */
const struct op ops_table[] = {
  {"BuildPrune", VERB_POST, "/build/prune", "reserved-space max-used-space min-free-space keep-storage all filters", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, ONCE},
  {"ConfigCreate", VERB_POST, "/configs/create", "", "",
   BODY_JSON, OPS_OLDEST, {201}, REPLY_JSON, ONCE},
  {"ConfigDelete", VERB_DELETE, "/configs/{id}", "", "",
   BODY_NONE, OPS_OLDEST, {204}, REPLY_EMPTY, AGAIN},
  {"ConfigInspect", VERB_GET, "/configs/{id}", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ConfigList", VERB_GET, "/configs", "filters", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ConfigUpdate", VERB_POST, "/configs/{id}/update", "version", "",
   BODY_JSON, OPS_OLDEST, {200}, REPLY_EMPTY, ONCE},
  {"ContainerArchive", VERB_GET, "/containers/{id}/archive", "path", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_BYTES, AGAIN},
  {"ContainerArchiveInfo", VERB_HEAD, "/containers/{id}/archive", "path", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_EMPTY, AGAIN},
  {"ContainerAttach", VERB_POST, "/containers/{id}/attach", "detachKeys logs stream stdin stdout stderr", "",
   BODY_NONE, OPS_OLDEST, {101, 200}, REPLY_HIJACK, ONCE},
  {"ContainerAttachWebsocket", VERB_GET, "/containers/{id}/attach/ws", "detachKeys logs stream stdin stdout stderr", "",
   BODY_NONE, OPS_OLDEST, {101, 200}, REPLY_HIJACK, ONCE},
  {"ContainerChanges", VERB_GET, "/containers/{id}/changes", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ContainerCreate", VERB_POST, "/containers/create", "name platform", "",
   BODY_JSON, OPS_OLDEST, {201}, REPLY_JSON, ONCE},
  {"ContainerDelete", VERB_DELETE, "/containers/{id}", "v force link", "",
   BODY_NONE, OPS_OLDEST, {204}, REPLY_EMPTY, AGAIN},
  {"ContainerExec", VERB_POST, "/containers/{id}/exec", "", "",
   BODY_JSON, OPS_OLDEST, {201}, REPLY_JSON, ONCE},
  {"ContainerExport", VERB_GET, "/containers/{id}/export", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_BYTES, AGAIN},
  {"ContainerInspect", VERB_GET, "/containers/{id}/json", "size", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ContainerKill", VERB_POST, "/containers/{id}/kill", "signal", "",
   BODY_NONE, OPS_OLDEST, {204}, REPLY_EMPTY, ONCE},
  {"ContainerList", VERB_GET, "/containers/json", "all limit size filters", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ContainerLogs", VERB_GET, "/containers/{id}/logs", "follow stdout stderr since until timestamps tail", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_FRAMES, AGAIN},
  {"ContainerPause", VERB_POST, "/containers/{id}/pause", "", "",
   BODY_NONE, OPS_OLDEST, {204}, REPLY_EMPTY, ONCE},
  {"ContainerPrune", VERB_POST, "/containers/prune", "filters", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, ONCE},
  {"ContainerRename", VERB_POST, "/containers/{id}/rename", "name", "",
   BODY_NONE, OPS_OLDEST, {204}, REPLY_EMPTY, ONCE},
  {"ContainerResize", VERB_POST, "/containers/{id}/resize", "h w", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_EMPTY, AGAIN},
  {"ContainerRestart", VERB_POST, "/containers/{id}/restart", "signal t", "",
   BODY_NONE, OPS_OLDEST, {204}, REPLY_EMPTY, ONCE},
  {"ContainerStart", VERB_POST, "/containers/{id}/start", "detachKeys", "",
   BODY_NONE, OPS_OLDEST, {204, 304}, REPLY_EMPTY, AGAIN},
  {"ContainerStats", VERB_GET, "/containers/{id}/stats", "stream one-shot", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_ITEMS, AGAIN},
  {"ContainerStop", VERB_POST, "/containers/{id}/stop", "signal t", "",
   BODY_NONE, OPS_OLDEST, {204, 304}, REPLY_EMPTY, AGAIN},
  {"ContainerTop", VERB_GET, "/containers/{id}/top", "ps_args", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ContainerUnpause", VERB_POST, "/containers/{id}/unpause", "", "",
   BODY_NONE, OPS_OLDEST, {204}, REPLY_EMPTY, ONCE},
  {"ContainerUpdate", VERB_POST, "/containers/{id}/update", "", "",
   BODY_JSON, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ContainerWait", VERB_POST, "/containers/{id}/wait", "condition", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, ONCE},
  {"DistributionInspect", VERB_GET, "/distribution/{name}/json", "", "X-Registry-Auth",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ExecInspect", VERB_GET, "/exec/{id}/json", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ExecResize", VERB_POST, "/exec/{id}/resize", "h w", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_EMPTY, AGAIN},
  {"ExecStart", VERB_POST, "/exec/{id}/start", "", "",
   BODY_JSON, OPS_OLDEST, {101, 200}, REPLY_HIJACK, ONCE},
  {"GetPluginPrivileges", VERB_GET, "/plugins/privileges", "remote", "X-Registry-Auth",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ImageAttestations", VERB_GET, "/images/{name}/attestations", "platform type statement", "",
   BODY_NONE, 55, {200}, REPLY_JSON, AGAIN},
  {"ImageBuild", VERB_POST, "/build",
   "dockerfile t extrahosts remote q nocache cachefrom pull rm forcerm memory memswap cpushares cpusetcpus "
   "cpuperiod cpuquota buildargs shmsize squash labels networkmode platform target outputs version",
   "Content-type X-Registry-Config",
   BODY_STREAM, OPS_OLDEST, {200}, REPLY_PROGRESS, ONCE},
  {"ImageCommit", VERB_POST, "/commit", "container repo tag comment author pause changes", "",
   BODY_JSON, OPS_OLDEST, {201}, REPLY_JSON, ONCE},
  {"ImageCreate", VERB_POST, "/images/create", "fromImage fromSrc repo tag message changes platform", "X-Registry-Auth",
   BODY_STREAM, OPS_OLDEST, {200}, REPLY_PROGRESS, ONCE},
  {"ImageDelete", VERB_DELETE, "/images/{name}", "force noprune platforms", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ImageGet", VERB_GET, "/images/{name}/get", "platform", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_BYTES, AGAIN},
  {"ImageGetAll", VERB_GET, "/images/get", "names platform", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_BYTES, AGAIN},
  {"ImageHistory", VERB_GET, "/images/{name}/history", "platform", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ImageInspect", VERB_GET, "/images/{name}/json", "manifests platform", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ImageList", VERB_GET, "/images/json", "all filters shared-size digests manifests identity", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ImageLoad", VERB_POST, "/images/load", "quiet platform", "",
   BODY_STREAM, OPS_OLDEST, {200}, REPLY_PROGRESS, ONCE},
  {"ImagePrune", VERB_POST, "/images/prune", "filters", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, ONCE},
  {"ImagePush", VERB_POST, "/images/{name}/push", "tag platform", "X-Registry-Auth",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_PROGRESS, AGAIN},
  {"ImageSearch", VERB_GET, "/images/search", "term limit filters", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ImageTag", VERB_POST, "/images/{name}/tag", "repo tag", "",
   BODY_NONE, OPS_OLDEST, {201}, REPLY_EMPTY, AGAIN},
  {"NetworkConnect", VERB_POST, "/networks/{id}/connect", "", "",
   BODY_JSON, OPS_OLDEST, {200}, REPLY_EMPTY, ONCE},
  {"NetworkCreate", VERB_POST, "/networks/create", "", "",
   BODY_JSON, OPS_OLDEST, {201}, REPLY_JSON, ONCE},
  {"NetworkDelete", VERB_DELETE, "/networks/{id}", "", "",
   BODY_NONE, OPS_OLDEST, {204}, REPLY_EMPTY, AGAIN},
  {"NetworkDisconnect", VERB_POST, "/networks/{id}/disconnect", "", "",
   BODY_JSON, OPS_OLDEST, {200}, REPLY_EMPTY, ONCE},
  {"NetworkInspect", VERB_GET, "/networks/{id}", "verbose scope", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"NetworkList", VERB_GET, "/networks", "filters", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"NetworkPrune", VERB_POST, "/networks/prune", "filters", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, ONCE},
  {"NodeDelete", VERB_DELETE, "/nodes/{id}", "force", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_EMPTY, AGAIN},
  {"NodeInspect", VERB_GET, "/nodes/{id}", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"NodeList", VERB_GET, "/nodes", "filters", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"NodeUpdate", VERB_POST, "/nodes/{id}/update", "version", "",
   BODY_JSON, OPS_OLDEST, {200}, REPLY_EMPTY, ONCE},
  {"PluginCreate", VERB_POST, "/plugins/create", "name", "",
   BODY_STREAM, OPS_OLDEST, {204}, REPLY_EMPTY, ONCE},
  {"PluginDelete", VERB_DELETE, "/plugins/{name}", "force", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_EMPTY, AGAIN},
  {"PluginDisable", VERB_POST, "/plugins/{name}/disable", "force", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_EMPTY, ONCE},
  {"PluginEnable", VERB_POST, "/plugins/{name}/enable", "timeout", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_EMPTY, ONCE},
  {"PluginInspect", VERB_GET, "/plugins/{name}/json", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"PluginList", VERB_GET, "/plugins", "filters", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"PluginPull", VERB_POST, "/plugins/pull", "remote name", "X-Registry-Auth",
   BODY_JSON, OPS_OLDEST, {200, 204}, REPLY_PROGRESS, ONCE},
  {"PluginPush", VERB_POST, "/plugins/{name}/push", "", "X-Registry-Auth",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_PROGRESS, ONCE},
  {"PluginSet", VERB_POST, "/plugins/{name}/set", "", "",
   BODY_JSON, OPS_OLDEST, {204}, REPLY_EMPTY, AGAIN},
  {"PluginUpgrade", VERB_POST, "/plugins/{name}/upgrade", "remote", "X-Registry-Auth",
   BODY_JSON, OPS_OLDEST, {200, 204}, REPLY_PROGRESS, ONCE},
  {"PutContainerArchive", VERB_PUT, "/containers/{id}/archive", "path noOverwriteDirNonDir copyUIDGID", "",
   BODY_STREAM, OPS_OLDEST, {200}, REPLY_EMPTY, ONCE},
  {"SecretCreate", VERB_POST, "/secrets/create", "", "",
   BODY_JSON, OPS_OLDEST, {201}, REPLY_JSON, ONCE},
  {"SecretDelete", VERB_DELETE, "/secrets/{id}", "", "",
   BODY_NONE, OPS_OLDEST, {204}, REPLY_EMPTY, AGAIN},
  {"SecretInspect", VERB_GET, "/secrets/{id}", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"SecretList", VERB_GET, "/secrets", "filters", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"SecretUpdate", VERB_POST, "/secrets/{id}/update", "version", "",
   BODY_JSON, OPS_OLDEST, {200}, REPLY_EMPTY, ONCE},
  {"ServiceCreate", VERB_POST, "/services/create", "", "X-Registry-Auth",
   BODY_JSON, OPS_OLDEST, {201}, REPLY_JSON, ONCE},
  {"ServiceDelete", VERB_DELETE, "/services/{id}", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_EMPTY, AGAIN},
  {"ServiceInspect", VERB_GET, "/services/{id}", "insertDefaults", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ServiceList", VERB_GET, "/services", "filters status", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"ServiceLogs", VERB_GET, "/services/{id}/logs", "details follow stdout stderr since timestamps tail", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_FRAMES, AGAIN},
  {"ServiceUpdate", VERB_POST, "/services/{id}/update", "version registryAuthFrom rollback", "X-Registry-Auth",
   BODY_JSON, OPS_OLDEST, {200}, REPLY_JSON, ONCE},
  {"Session", VERB_POST, "/session", "", "",
   BODY_NONE, OPS_OLDEST, {101}, REPLY_HIJACK, ONCE},
  {"SwarmInit", VERB_POST, "/swarm/init", "", "",
   BODY_JSON, OPS_OLDEST, {200}, REPLY_JSON, ONCE},
  {"SwarmInspect", VERB_GET, "/swarm", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"SwarmJoin", VERB_POST, "/swarm/join", "", "",
   BODY_JSON, OPS_OLDEST, {200}, REPLY_EMPTY, ONCE},
  {"SwarmLeave", VERB_POST, "/swarm/leave", "force", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_EMPTY, ONCE},
  {"SwarmUnlock", VERB_POST, "/swarm/unlock", "", "",
   BODY_JSON, OPS_OLDEST, {200}, REPLY_EMPTY, ONCE},
  {"SwarmUnlockkey", VERB_GET, "/swarm/unlockkey", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"SwarmUpdate", VERB_POST, "/swarm/update", "version rotateWorkerToken rotateManagerToken rotateManagerUnlockKey", "",
   BODY_JSON, OPS_OLDEST, {200}, REPLY_EMPTY, ONCE},
  {"SystemAuth", VERB_POST, "/auth", "", "",
   BODY_JSON, OPS_OLDEST, {200, 204}, REPLY_JSON, AGAIN},
  {"SystemDataUsage", VERB_GET, "/system/df", "type verbose", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"SystemEvents", VERB_GET, "/events", "since until filters", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_ITEMS, AGAIN},
  {"SystemInfo", VERB_GET, "/info", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"SystemPing", VERB_GET, "/_ping", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_TEXT, AGAIN},
  {"SystemPingHead", VERB_HEAD, "/_ping", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_EMPTY, AGAIN},
  {"SystemVersion", VERB_GET, "/version", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"TaskInspect", VERB_GET, "/tasks/{id}", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"TaskList", VERB_GET, "/tasks", "filters", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"TaskLogs", VERB_GET, "/tasks/{id}/logs", "details follow stdout stderr since timestamps tail", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_FRAMES, AGAIN},
  {"VolumeCreate", VERB_POST, "/volumes/create", "", "",
   BODY_JSON, OPS_OLDEST, {201}, REPLY_JSON, ONCE},
  {"VolumeDelete", VERB_DELETE, "/volumes/{name}", "force", "",
   BODY_NONE, OPS_OLDEST, {204}, REPLY_EMPTY, AGAIN},
  {"VolumeInspect", VERB_GET, "/volumes/{name}", "", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"VolumeList", VERB_GET, "/volumes", "filters", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, AGAIN},
  {"VolumePrune", VERB_POST, "/volumes/prune", "filters", "",
   BODY_NONE, OPS_OLDEST, {200}, REPLY_JSON, ONCE},
  {"VolumeUpdate", VERB_PUT, "/volumes/{name}", "version", "",
   BODY_JSON, 42, {200}, REPLY_EMPTY, ONCE},
};

const size_t ops_count = sizeof ops_table / sizeof ops_table[0];

/* Names of fields in request bodies, at any depth, that the specification types as arrays and nowhere as objects;
** sorted. Two names are both and are left out, so that an empty table under them is {}:
**   Config   an array in NetworkCreate's IPAM, an object in ContainerCreate's HostConfig.LogConfig;
**   Options  an array in a service's DNSConfig and in TmpfsOptions, an object in all the drivers' options.
** There an array is simply not sent when it is empty, or its table is marked as an array. `Value` is here: elsewhere it
** is a string or a number, which no table can be. PortBindings has arrays under keys that are not names ("80/tcp"):
** whoever fills in a PortBindings looks after that. */
static const char *const array_fields[] = {
  "Aliases", "Args", "Binds", "BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps",
  "BlkioDeviceWriteIOps", "BlkioWeightDevice", "CapAdd", "CapDrop", "Capabilities", "CapabilityAdd",
  "CapabilityDrop", "Cmd", "Command", "Configs", "ConsoleSize", "Constraints", "DNSNames", "DefaultAddrPool",
  "DeviceCgroupRules", "DeviceIDs", "DeviceRequests", "Devices", "Dns", "DnsOptions", "DnsSearch", "Entrypoint",
  "Env", "ExternalCAs", "ExtraHosts", "GenericResources", "GroupAdd", "Groups", "Hosts", "LinkLocalIPs", "Links",
  "MaskedPaths", "Mounts", "Nameservers", "Networks", "OnBuild", "Platforms", "PluginPrivilege", "Ports",
  "Preferences", "Preferred", "ReadonlyPaths", "RemoteAddrs", "Requisite", "Search", "Secrets", "SecurityOpt",
  "Shell", "Test", "Ulimits", "Value", "VolumesFrom"
};

static int compare_op(const void *id, const void *row) {
  return strcmp(id, ((const struct op *)row)->id);
}

const struct op *ops_find(const char *id) {
  return bsearch(id, ops_table, ops_count, sizeof ops_table[0], compare_op);
}

int ops_has(const char *list, const char *name, size_t length) {
  if (length == 0 || memchr(name, ' ', length)) return 0;
  while (*list) {
    size_t word = strcspn(list, " ");
    if (word == length && memcmp(list, name, length) == 0) return 1;
    list += word;
    list += strspn(list, " ");
  }
  return 0;
}

int ops_is_array_field(const char *name, size_t length) {
  size_t low = 0, high = sizeof array_fields / sizeof array_fields[0];
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const char *field = array_fields[middle];
    int order = strncmp(name, field, length); /* stops at field's NUL; a NUL in name differs or ends both */
    if (order == 0 && strlen(field) == length) return 1;
    if (order > 0) low = middle + 1;
    else high = middle; /* also where name is the beginning of field */
  }
  return 0;
}
