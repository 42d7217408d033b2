//! One table of all keys: what each takes, what it is without, whether a change of it applies while the daemon runs,
//! and what it means. The manual and the schema are made from it; tests hold it against what the files' readers ask
//! for and what they fill in.

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole number within a range.
    Integer(u64, u64),
    /// A number from 0 to 1.
    Number,
    /// A number above 0, at most 1.
    Share,
    /// `true` or `false`.
    Boolean,
    /// A string.
    Text,
    /// `"127.0.0.1:8080"`.
    Address,
    /// `"5s"`.
    Duration,
    /// A list of durations.
    Durations,
    /// `"256 KiB"`, or a number of bytes.
    Size,
    /// `"50/s"`.
    Rate,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of strings.
    Texts,
    /// A list of strings, or `"all"`.
    TextsOrAll,
    /// A table of anything.
    Table,
    /// `true` or `false`.
    Truth,
    /// A string, or `{ file }`, `{ env }` or `{ credential }`.
    Secret,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// From the top of the file; `[]` after a list of tables.
    pub(super) path: &'static str,
    /// What it takes.
    pub(super) kind: Kind,
    /// What it is where it is not written, as TOML; empty: nothing.
    pub(super) default: &'static str,
    /// Whether a change applies while the daemon runs.
    pub(super) live: bool,
    /// What it means.
    pub(super) meaning: &'static str,
}

const fn live(path: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
    Key { path, kind, default, live: true, meaning }
}

const fn fixed(path: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
    Key { path, kind, default, live: false, meaning }
}

/// The keys of the daemon's file, but for `[defaults]`, which has [`DELIVERY`].
pub(super) const DAEMON: &[Key] = &[
    live("version", Kind::Integer(1, 1), "1", "The version of this format."),
    fixed(
        "ingress.listen",
        Kind::Address,
        "\"127.0.0.1:8080\"",
        "Where events come in. Off loopback it needs a publisher.",
    ),
    live("ingress.max_body", Kind::Size, "\"256 KiB\"", "Bytes of one request's body."),
    live("ingress.max_batch", Kind::Integer(1, 100_000), "1000", "Events of one request."),
    live("ingress.dedup_window", Kind::Duration, "\"24h\"", "How long a repeated event is recognised."),
    live(
        "ingress.dedup_max",
        Kind::Integer(1, 1_000_000_000),
        "10000000",
        "How many events are remembered for that.",
    ),
    live(
        "ingress.tls.cert",
        Kind::Text,
        "",
        "With TLS: the file of the certificates in PEM form, the listener's own first.",
    ),
    live(
        "ingress.tls.key",
        Kind::Text,
        "",
        "And the file of its private key. Both are watched like secrets.",
    ),
    live("ingress.publisher[].name", Kind::Text, "", "Who may post events; the name is for logs."),
    live(
        "ingress.publisher[].basic.username",
        Kind::Text,
        "",
        "It proves itself by Basic credentials: the user name",
    ),
    live("ingress.publisher[].basic.password", Kind::Secret, "", "and the password."),
    live("ingress.publisher[].bearer", Kind::Secret, "", "Or it proves itself by a bearer token."),
    live("ingress.publisher[].rate", Kind::Rate, "", "Events per time it may post."),
    live("ingress.publisher[].accounts", Kind::Texts, "", "The accounts it may post for; without it, all."),
    fixed(
        "admin.listen",
        Kind::Address,
        "\"127.0.0.1:8081\"",
        "The API, the metrics, the page. Off loopback it needs a login.",
    ),
    live(
        "admin.tls.cert",
        Kind::Text,
        "",
        "With TLS: the file of the certificates in PEM form, the listener's own first.",
    ),
    live("admin.tls.key", Kind::Text, "", "And the file of its private key. Both are watched like secrets."),
    live(
        "admin.hosts",
        Kind::Texts,
        "[]",
        "Names by which it is reached, through a proxy perhaps, or scraped without a login: \"postrider.example.com\".",
    ),
    live(
        "admin.metrics_public",
        Kind::Boolean,
        "false",
        "Whether the metrics need no login, by whatever name they are asked for.",
    ),
    live("admin.login[].username", Kind::Text, "", "Who may use it: the user name"),
    live("admin.login[].password", Kind::Secret, "", "and the password."),
    live(
        "admin.login[].account",
        Kind::Text,
        "",
        "The one account this login sees and edits; without it, all.",
    ),
    fixed("spool.path", Kind::Text, "\"data\"", "The folder of the store. Relative to this file's folder."),
    live(
        "spool.max_bytes",
        Kind::Size,
        "\"10 GiB\"",
        "Undelivered work: bodies, each counted once. Past it the ingress answers 503; nothing is dropped.",
    ),
    live(
        "spool.backlog",
        Kind::Size,
        "\"1 GiB\"",
        "What may wait for one endpoint: bodies. Beyond it its oldest deliveries become dead.",
    ),
    live(
        "spool.keep_delivered",
        Kind::Duration,
        "\"1d\"",
        "How long the history of delivered events is kept.",
    ),
    live("spool.history_bytes", Kind::Size, "\"2 GiB\"", "And how many bytes of it."),
    live("spool.keep_dead", Kind::Duration, "\"30d\"", "How long dead letters are kept."),
    live("spool.dead_bytes", Kind::Size, "\"2 GiB\"", "And how many bytes of them."),
    live(
        "catalogue.events",
        Kind::Texts,
        "[\"sent\", \"delivered\", \"read\", \"failed\"]",
        "The events there are.",
    ),
    live(
        "catalogue.products",
        Kind::Texts,
        "[\"automation\", \"crm\", \"developer-apis\", \"campaigns\"]",
        "The products they come from.",
    ),
    live(
        "catalogue.accounts",
        Kind::Choice(&["optional", "required"]),
        "\"optional\"",
        "Whether endpoints and events must name an account.",
    ),
    live("network.allow", Kind::Texts, "[]", "Private ranges every endpoint may reach: \"10.1.0.0/16\"."),
    live("network.exception[].endpoint", Kind::Text, "", "One endpoint"),
    live("network.exception[].cidr", Kind::Text, "", "that may reach this range."),
    live(
        "limits.attempts",
        Kind::Integer(1, 1_000_000),
        "",
        "Attempts at once over all endpoints, beyond the one that each may always make. Without it, 512 for every core, at most a quarter of the descriptors.",
    ),
    live(
        "reload.removed_grace",
        Kind::Duration,
        "\"1h\"",
        "How long a vanished endpoint file only holds its deliveries.",
    ),
    live("shutdown.grace", Kind::Duration, "\"30s\"", "How long attempts in flight may take to finish."),
];

/// The keys of an endpoint file, but for its sink's table and [`DELIVERY`].
pub(super) const ENDPOINT: &[Key] = &[
    live(
        "state",
        Kind::Choice(&["active", "draft", "paused"]),
        "\"active\"",
        "A draft matches nothing and may be incomplete; paused matches and holds.",
    ),
    live("events", Kind::TextsOrAll, "", "Which events it gets. Required, but for a draft."),
    live("products", Kind::TextsOrAll, "", "Of which products. Required, but for a draft."),
    live("account", Kind::Text, "", "Of which account; without it, or \"*\", every one."),
    live(
        "filter",
        Kind::Text,
        "",
        "And of those only the ones for which this expression over event, product, account and data holds.",
    ),
    live("test[].event", Kind::Text, "", "An event that the endpoint must or must not get: its name,"),
    live("test[].product", Kind::Text, "", "its product,"),
    live("test[].account", Kind::Text, "", "its account, if it has one,"),
    live("test[].data", Kind::Table, "{}", "and its data."),
    live(
        "test[].matches",
        Kind::Truth,
        "",
        "Whether the endpoint gets it. A file whose test fails is invalid.",
    ),
];

/// The keys of `[defaults]`, which every endpoint file may say for itself.
pub(super) const DELIVERY: &[Key] = &[
    live("timeout", Kind::Duration, "\"15s\"", "One attempt, from the look-up of the name to the answer."),
    live("connect_timeout", Kind::Duration, "\"5s\"", "Look-up, TCP and TLS of one attempt together."),
    live("concurrency", Kind::Integer(1, 1024), "16", "Attempts at once."),
    live(
        "ordering",
        Kind::Choice(&["message", "endpoint", "none"]),
        "\"message\"",
        "Which deliveries wait for which: those of the same message, all, or none.",
    ),
    live("rate", Kind::Rate, "", "Attempts per time: \"50/s\". \"none\" takes a default away."),
    live(
        "keep_answer",
        Kind::Boolean,
        "false",
        "Whether history keeps the first KiB of each answer. An answer may hold what is nobody else's business.",
    ),
    live(
        "retry.schedule",
        Kind::Durations,
        "[\"5s\", \"5m\", \"30m\", \"2h\", \"5h\", \"10h\", \"14h\", \"20h\", \"24h\"]",
        "The waits between attempts. After the last attempt a delivery is dead.",
    ),
    live(
        "retry.jitter",
        Kind::Number,
        "0.2",
        "Each wait is drawn from plus or minus this part of it: 0 to 1.",
    ),
    live("retry.max_age", Kind::Duration, "\"7d\"", "A delivery older than this is dead."),
    live(
        "breaker.failures",
        Kind::Integer(1, 1_000_000),
        "5",
        "The endpoint is left alone after so many failures in a row,",
    ),
    live(
        "breaker.ratio",
        Kind::Share,
        "0.5",
        "or when this part of its attempts failed: more than 0, at most 1,",
    ),
    live("breaker.window", Kind::Duration, "\"1m\"", "within this time,"),
    live("breaker.min_attempts", Kind::Integer(1, 1_000_000), "20", "with at least so many attempts in it."),
    live("breaker.open", Kind::Duration, "\"30s\"", "The first wait until it is tried again."),
    live("breaker.max_open", Kind::Duration, "\"10m\"", "The waits double up to this."),
    live("breaker.probes", Kind::Integer(1, 1000), "3", "So many successful tries in a row end it."),
];
