//! Who asks, and from where: found out once, before any route sees the request.
//!
//! The address is that of the connection, or where a trusted proxy made it, the one that the proxy
//! names. The token is checked by whichever module knows the sessions; what comes of it stays with
//! the request, and routes that need nobody never look at it.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use nubo_core::{
    Error,
    sessions::{ClientAddress, Identity, Sessions},
};
use poem::{
    Addr, Endpoint, Request,
    http::{HeaderMap, header},
};

/// Routes behind which every request has an address and, where it brought a token, an identity.
pub(super) struct Identify<E> {
    pub routes: E,
    pub sessions: Option<Arc<dyn Sessions>>,
    pub trusted_proxies: Vec<IpNet>,
}

impl<E: Endpoint> Endpoint for Identify<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> poem::Result<Self::Output> {
        if let Addr::SocketAddr(peer) = &request.remote_addr().0 {
            let address = self.address(peer.ip(), request.headers());
            request.set_data(ClientAddress(address));
        }
        if let (Some(sessions), Some(token)) = (&self.sessions, token(request.headers())) {
            let checked = match token {
                Ok(token) => sessions.authenticate(token).await,
                Err(error) => Err(error),
            };
            request.set_data(match checked {
                Ok(signed_in) => Identity::SignedIn(signed_in),
                Err(Error::Unauthorized { code, detail }) => Identity::Refused(code, detail),
                // Only where somebody asks who it is does that matter: `/health` must answer.
                Err(error) => {
                    tracing::warn!(%error, "a token could not be looked up");
                    Identity::Unknown
                }
            });
        }
        self.routes.call(request).await
    }
}

impl<E> Identify<E> {
    /// Where the request comes from. Proxies append to `X-Forwarded-For`, so what stands furthest
    /// right and is no trusted proxy itself is the last thing that somebody trusted has seen.
    fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.is_trusted(peer) {
            return peer;
        }
        let forwarded = headers.get_all("x-forwarded-for");
        let named: Vec<&str> = forwarded
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        let mut client = peer;
        for text in named.iter().rev() {
            // What is no address was not written by a proxy that one should trust.
            let Ok(address) = text.trim().parse::<IpAddr>() else {
                break;
            };
            client = address.to_canonical();
            if !self.is_trusted(client) {
                break;
            }
        }
        client
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        let proxies = &self.trusted_proxies;
        proxies.iter().any(|proxy| proxy.contains(&address))
    }
}

/// The access token of a request, where it brings any.
fn token(headers: &HeaderMap) -> Option<Result<&str, Error>> {
    let value = headers.get(header::AUTHORIZATION)?;
    let malformed = || Error::Unauthorized {
        code: "malformed_token",
        detail: "the header must be `Authorization: Bearer <access token>`".into(),
    };
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        // RFC 9110 §11.1: the scheme is case-insensitive.
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    Some(token.ok_or_else(malformed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let identify = Identify {
            routes: (),
            sessions: None,
            trusted_proxies: trusted.iter().map(|net| net.parse().unwrap()).collect(),
        };
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let address = identify.address(peer.parse().unwrap(), &headers);
        address.to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let forwarded = ["203.0.113.9, 198.51.100.7", "10.0.0.2"];
        assert_eq!(address("192.0.2.1", &forwarded, &[]), "192.0.2.1");
        let trusted = ["10.0.0.0/8"];
        assert_eq!(address("192.0.2.1", &forwarded, &trusted), "192.0.2.1");
        assert_eq!(address("10.0.0.1", &forwarded, &trusted), "198.51.100.7");
        assert_eq!(address("10.0.0.1", &[], &trusted), "10.0.0.1");
        assert_eq!(address("10.0.0.1", &["nonsense"], &trusted), "10.0.0.1");
        assert_eq!(
            address("::ffff:10.0.0.1", &["2001:db8::1"], &trusted),
            "2001:db8::1"
        );
    }

    #[test]
    fn a_token_follows_the_word_bearer() {
        let mut headers = HeaderMap::new();
        assert!(token(&headers).is_none());
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc", Some("abc")),
            ("Basic abc", None),
            ("abc", None),
        ] {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            let found = token(&headers).unwrap();
            assert_eq!(found.ok(), expected, "{value}");
        }
    }
}
