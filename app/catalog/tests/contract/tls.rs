//! A server of the catalog that is reached over TLS.

use stella_catalog::Catalog;
use stella_peers::Postgres;
use stella_testkit::Certificate;

use crate::place::Place;
use crate::runs::every_process_hears;

#[test]
fn a_server_is_reached_as_its_address_says() {
    let dir = stella_testkit::temp_dir();
    let [own, foreign] = ["own", "foreign"].map(|name| Certificate::make(dir.path(), name));
    let server = Postgres::start_on_network(Some(&own));
    let (Some(server), Some(plain)) = (server, Postgres::start_on_network(None)) else { return };
    [&server, &plain].into_iter().for_each(|server| drop(server.database("tls")));
    let roots = |of: &Certificate| format!("sslrootcert={}", of.certificate.display());
    let (own, foreign) = (roots(&own), roots(&foreign));
    let url = |server: &Postgres, host: &str, said: &str| {
        format!("{}?{said}", server.network_address(host, "tls"))
    };
    let place = Place::at(url(&server, "127.0.0.1", &format!("sslmode=verify-full&{own}")), true);
    every_process_hears(&place);
    for (host, said) in [
        ("127.0.0.1", "sslmode=disable".to_owned()),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", format!("sslmode=require&{own}")),
        ("localhost", format!("sslmode=verify-ca&{own}")),
    ] {
        let opened = place.wait(Catalog::open(&url(&server, host, &said)));
        opened.unwrap_or_else(|error| panic!("{said}: {error:?}"));
    }
    for (server, host, said, why) in [
        (&server, "127.0.0.1", format!("sslmode=require&{foreign}"), "invalid peer certificate"),
        (
            &server,
            "127.0.0.1",
            format!("sslmode=verify-full&{foreign}"),
            "invalid peer certificate",
        ),
        (&server, "127.0.0.1", "sslmode=verify-full".to_owned(), "UnknownIssuer"),
        (&server, "localhost", format!("sslmode=verify-full&{own}"), "not valid for name"),
        (&plain, "127.0.0.1", "sslmode=require".to_owned(), "does not support TLS"),
    ] {
        let refused = place.wait(Catalog::open(&url(server, host, &said))).expect_err("is refused");
        let cause = std::error::Error::source(&refused).map(ToString::to_string);
        assert!(cause.as_ref().is_some_and(|cause| cause.contains(why)), "{said}: {cause:?}");
    }
}
