//! Every spelling of an address that libpq takes leads to the server, with our parameters in it.

use std::path::Path;

use chrono_forge::StoreErrorKind;

use crate::world::{bounded, connect, engine, prove, refusal, server, text};

#[test]
fn every_spelling_of_an_address_leads_to_the_server() {
    let Some(server) = server("every_spelling_of_an_address_leads_to_the_server") else {
        return;
    };
    let port = server.port();
    let spellings = [
        format!("host=127.0.0.1 port={port} user=postgres dbname=postgres schema=a writers=1"),
        format!("dbname = 'postgres' user='postgres' schema=b hostaddr=127.0.0.1 port={port}"),
        format!("Postgres://postgres@127.0.0.1:{port}/postgres?schema=c\n"),
        format!(" postgresql://postgres@127.0.0.1:{port}/postgres?schema=d"),
    ];
    bounded(async {
        for (address, schema) in spellings.iter().zip(["a", "b", "c", "d"]) {
            let forge = engine(address).open().await.unwrap();
            prove(&forge, "p").await;
            forge.shutdown().await;
            let runs =
                format!("SELECT count(*)::text AS text FROM {schema}.chrono_forge_workflows");
            assert_ne!(text(&mut connect(&server.url("")), &runs), "0");
            assert!(!Path::new(address).exists(), "{address}");
        }
    });
}

#[test]
fn what_libpq_cannot_read_is_refused_for_good_and_shows_no_password() {
    bounded(async {
        for address in [
            "postgres://app:s3cret@127.0.0.1:x/app",
            "postgres://app:s3/cret@127.0.0.1/app",
            "postgres://app:s3cret@127.0.0.1:1/app?sslmode=bogus",
            "postgres://app:s3cret@127.0.0.1:1/app?readers=0",
            "postgres://app:s3cret@127.0.0.1:1/app?shema=f",
            "hots=127.0.0.1 dbname=app password=s3cret",
            "host=127.0.0.1 dbname=app password='s3cret",
        ] {
            let (kind, text) = refusal(engine(address)).await;
            assert_eq!(kind, StoreErrorKind::Refused, "{address}: {text}");
            assert!(!text.contains("s3"), "{text}");
        }
    });
}
