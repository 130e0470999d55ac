vcl 4.1;

# Varnish 6 or later in front of ladder.
#
#   ladder  edge: {servers: ["varnish+http://this-host:6081"]}
#   boards  {"public": true, "edge_max_age_s": 3600, "stale_while_revalidate_s": 10, "stale_if_error_s": 300}
#
# CDN-Cache-Control says how long an answer may be kept here: as long as nobody says that it changed. The worker does, with
# BAN and the tags of what changed in Surrogate-Key. What is kept is checked against the bans when it is asked for, and by
# the ban lurker before that (the bans look at obj.* only, so it can).
#
# Change the backend, and who may ban: the addresses of the workers.

import std;

backend ladder {
    .host = "127.0.0.1";
    .port = "7000";
    .first_byte_timeout = 6s; # ladder answers 503 by itself after server.answer_timeout_ms
    .probe = {
        .url = "/readyz";
        .interval = 2s;
        .timeout = 1s;
        .window = 3;
        .threshold = 2;
        .initial = 2;
    }
}

acl workers {
    "127.0.0.1";
    "::1";
}

sub vcl_recv {
    # Paths for operators are not served to clients: /metrics, /monitoring and everything below.
    if (req.url ~ "(?i)^([a-z]+://[^/?]*)?/(metrics|monitoring)([/?]|$)") {
        return (synth(404, "Not Found"));
    }
    if (req.method == "BAN") {
        if (client.ip !~ workers) {
            return (synth(403, "Not a worker"));
        }
        if (!req.http.Surrogate-Key || req.http.Surrogate-Key !~ "^[A-Za-z0-9._:/ -]+$") {
            return (synth(400, "Surrogate-Key: tags, separated by spaces"));
        }
        # "game:g board:g/b" -> (^|\s)(game:g|board:g/b)(\s|$)
        set req.http.X-Tags = regsuball(regsuball(req.http.Surrogate-Key, "\.", "[.]"), " +", "|");
        ban("obj.http.Surrogate-Key ~ (^|\s)(" + req.http.X-Tags + ")(\s|$)");
        return (synth(200, "Banned"));
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    # A key opens what is its own; a token asks for what is at least as new as a write.
    if (req.http.Authorization || req.http.Ladder-Token || req.http.Cookie ~ "(^|; *)ladder_token=") {
        return (pass);
    }
    unset req.http.Cookie;
    if (req.restarts == 0) {
        unset req.http.X-Stale;  # there is an old answer
        unset req.http.X-Failed; # and ladder has no new one
        unset req.http.X-Down;
        if (!std.healthy(req.backend_hint)) {
            set req.http.X-Down = "1";
        }
    }
    return (hash);
}

sub vcl_backend_fetch {
    unset bereq.http.X-Stale;
    unset bereq.http.X-Failed;
    unset bereq.http.X-Down;
}

sub vcl_backend_response {
    if (beresp.status >= 500 && bereq.is_bgfetch) {
        return (abandon); # the old answer stays as long as it may
    }
    # What this cache is told goes before what all are told (RFC 9213); older caches were told by Surrogate-Control.
    if (beresp.http.CDN-Cache-Control) {
        set beresp.http.X-Edge-Control = beresp.http.CDN-Cache-Control;
    } elsif (beresp.http.Surrogate-Control) {
        set beresp.http.X-Edge-Control = beresp.http.Surrogate-Control;
    } else {
        set beresp.http.X-Edge-Control = beresp.http.Cache-Control;
    }
    if (bereq.uncacheable || beresp.http.X-Edge-Control !~ "max-age=[1-9]" || beresp.http.X-Edge-Control ~ "no-store|no-cache|private") {
        unset beresp.http.X-Edge-Control;
        set beresp.ttl = 0s;
        set beresp.grace = 0s;
        set beresp.uncacheable = true;
        return (deliver);
    }
    set beresp.ttl = std.duration(regsub(beresp.http.X-Edge-Control, "^.*max-age=([0-9]+).*$", "\1") + "s", 0s);
    # Grace is as long as the longer of the two; vcl_hit says which of them counts.
    set beresp.http.X-While-Revalidate = "0s";
    set beresp.http.X-If-Error = "0s";
    if (beresp.http.X-Edge-Control ~ "stale-while-revalidate=[0-9]+") {
        set beresp.http.X-While-Revalidate = regsub(beresp.http.X-Edge-Control, "^.*stale-while-revalidate=([0-9]+).*$", "\1") + "s";
    }
    if (beresp.http.X-Edge-Control ~ "stale-if-error=[0-9]+") {
        set beresp.http.X-If-Error = regsub(beresp.http.X-Edge-Control, "^.*stale-if-error=([0-9]+).*$", "\1") + "s";
    }
    set beresp.grace = std.duration(beresp.http.X-While-Revalidate, 0s);
    if (std.duration(beresp.http.X-If-Error, 0s) > beresp.grace) {
        set beresp.grace = std.duration(beresp.http.X-If-Error, 0s);
    }
    set beresp.keep = 1h; # to be revalidated with If-None-Match
    if (!beresp.http.Content-Encoding && beresp.http.Content-Type ~ "json") {
        set beresp.do_gzip = true;
    }
    unset beresp.http.X-Edge-Control;
    return (deliver);
}

# Within grace: older than its time.
sub vcl_hit {
    if (obj.ttl >= 0s) {
        return (deliver);
    }
    if (obj.ttl + std.duration(obj.http.X-While-Revalidate, 0s) > 0s) {
        return (deliver); # and a fetch goes on behind it
    }
    if (req.http.X-Down || req.http.X-Failed) {
        if (obj.ttl + std.duration(obj.http.X-If-Error, 0s) > 0s) {
            return (deliver);
        }
        return (pass);
    }
    set req.http.X-Stale = "1";
    set req.hash_always_miss = true;
    return (restart);
}

sub vcl_deliver {
    if (resp.status >= 500 && req.http.X-Stale && !req.http.X-Failed) {
        set req.http.X-Failed = "1";
        set req.hash_always_miss = false;
        return (restart); # to vcl_hit: what stale-if-error allows
    }
    if (obj.hits > 0) {
        set resp.http.X-Cache = "hit";
    } else {
        set resp.http.X-Cache = "miss";
    }
    # What was for us alone.
    unset resp.http.CDN-Cache-Control;
    unset resp.http.Surrogate-Control;
    unset resp.http.Surrogate-Key;
    unset resp.http.Cache-Tag;
    unset resp.http.X-While-Revalidate;
    unset resp.http.X-If-Error;
}
