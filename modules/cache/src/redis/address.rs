//! Where Redis is.

use redis::{ConnectionInfo, IntoConnectionInfo, RedisResult};

/// Whether Redis can be found by this URL.
pub fn is_redis_address(url: &str) -> bool {
    servers(url).is_ok()
}

/// The servers that a URL names: one, or some of a cluster, separated by commas, all of which have the
/// account, the password and everything else in it.
///
/// # Errors
/// Where it is no URL of Redis.
pub(crate) fn servers(url: &str) -> RedisResult<Vec<ConnectionInfo>> {
    let is_of_hosts = url.starts_with("redis://") || url.starts_with("rediss://");
    let Some((scheme, rest)) = url.split_once("://").filter(|_| is_of_hosts) else {
        return Ok(vec![url.into_connection_info()?]);
    };
    // There may be anything in a password.
    let hosts = rest.rfind('@').map_or(0, |at| at + 1);
    let (account, rest) = rest.split_at(hosts);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (hosts, behind) = rest.split_at(end);
    hosts
        .split(',')
        .map(|host| format!("{scheme}://{account}{host}{behind}").into_connection_info())
        .collect()
}

#[cfg(test)]
mod tests {
    use redis::ConnectionAddr;

    use super::*;

    /// The hosts, and the password of all of them.
    fn read(url: &str) -> Option<(Vec<String>, String)> {
        let servers = servers(url).ok()?;
        let hosts = servers.iter().map(|server| match server.addr() {
            ConnectionAddr::Tcp(host, port) => format!("{host}:{port}"),
            ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port}, encrypted"),
            other => other.to_string(),
        });
        let password = |server: &ConnectionInfo| {
            let password = server.redis_settings().password();
            password.unwrap_or_default().to_owned()
        };
        let first = password(&servers[0]);
        assert!(servers.iter().all(|server| password(server) == first));
        Some((hosts.collect(), first))
    }

    #[test]
    fn several_servers_are_separated_by_commas() {
        for (url, hosts, password) in [
            ("redis://a", &["a:6379"][..], ""),
            ("redis://u:p@a:1/3", &["a:1"], "p"),
            ("redis://a,b:2,[::1]:3", &["a:6379", "b:2", "::1:3"], ""),
            ("redis://u:x,y@a:1,b:2/", &["a:1", "b:2"], "x,y"),
            (
                "rediss://:p@a:1,b:2/?protocol=resp3",
                &["a:1, encrypted", "b:2, encrypted"],
                "p",
            ),
            ("unix:///run/a,b", &["/run/a,b"], ""),
        ] {
            let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            assert_eq!(read(url), Some((hosts, password.to_owned())), "{url}");
        }
    }

    #[test]
    fn what_names_no_server_is_no_address() {
        for url in [
            "http://a",
            "a",
            "redis://",
            "redis://a,",
            "redis://a,,b",
            "redis://a:x,b",
        ] {
            assert!(!is_redis_address(url), "{url}");
        }
    }
}
