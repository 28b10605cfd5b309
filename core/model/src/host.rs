//! Hosts of addresses.

use std::net::IpAddr;

/// Whether a host, as a URL has it (an IPv6 address in brackets), is this machine: `localhost`, or an
/// address of 127.0.0.0/8 or `::1` ([RFC 6890, section 2.2]). No name is looked up.
///
/// [RFC 6890, section 2.2]: https://www.rfc-editor.org/rfc/rfc6890#section-2.2
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_this_machine() {
        for here in ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in [
            "",
            "[]",
            "export.example",
            "localhost.example",
            "127.evil.example",
            "127.0.0.1.example.com",
            "128.0.0.1",
            "0.0.0.0",
            "10.0.0.1",
            "[::]",
            "[::2]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}
