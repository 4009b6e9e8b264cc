//! Why connections end, and the codes that say so (`docs/websocket.md`).

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// The client says so, or is gone.
    Over,
    /// The server stops.
    Stopping,
    /// A frame that is none.
    Malformed,
    /// A frame that is not text.
    NotText,
    /// Text that is not UTF-8.
    NotUtf8,
    TooLarge,
    /// No sign of life.
    Silent,
    /// The access token has ended.
    Expired,
    /// No token came in time.
    NoToken,
    /// The session has ended, or its account.
    Revoked,
    Kicked,
    TooSlow,
    TooMany,
}

impl Close {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Over,
        Self::Stopping,
        Self::Malformed,
        Self::NotText,
        Self::NotUtf8,
        Self::TooLarge,
        Self::Silent,
        Self::Expired,
        Self::NoToken,
        Self::Revoked,
        Self::Kicked,
        Self::TooSlow,
        Self::TooMany,
    ];

    /// The code and the reason that are sent; none where everything has been said.
    pub const fn words(self) -> Option<(u16, &'static str)> {
        Some(match self {
            Self::Over => return None,
            Self::Stopping => (1001, "the server stops: connect again and resume"),
            Self::Malformed => (1002, "this is no WebSocket frame"),
            Self::NotText => (1003, "binary frames are not understood"),
            Self::NotUtf8 => (1007, "the text is not UTF-8"),
            Self::TooLarge => (1009, "the message is too large"),
            Self::Silent => (1001, "no answer to a ping"),
            Self::Expired => (4001, "the access token has ended"),
            Self::NoToken => (4002, "no `auth` message came in time"),
            Self::Revoked => (4003, "the session has ended"),
            Self::Kicked => (4004, "disconnected by an administrator"),
            Self::TooSlow => (4008, "too slow: connect again and resume"),
            Self::TooMany => (4029, "too many messages"),
        })
    }
}
