//! `State<T>`: injected, shared, not stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{World, scenario};

struct Mailer {
    sent: AtomicU32,
}

struct Greeting(&'static str);

impl Mailer {
    async fn send(&self, text: &str) -> Result<String> {
        let n = self.sent.fetch_add(1, Ordering::SeqCst);
        Ok(format!("{n}: {text}"))
    }
}

#[workflow]
async fn mailing(mail: State<Mailer>, name: String, greeting: State<Greeting>) -> Result<String> {
    let text = format!("{} {name}", greeting.0);
    Ok(step!(mail.send(&text)).await?)
}

#[scenario]
async fn every_run_of_a_process_shares_a_state_that_no_row_holds(world: &World) {
    let builder = world.builder([mailing::NAME]).state(Mailer {
        sent: AtomicU32::new(9),
    });
    let builder = builder
        .state(Mailer {
            sent: AtomicU32::new(0),
        })
        .state(Greeting("hello"));
    let forge = builder.open().await.unwrap();
    for n in 0..3 {
        let run = forge
            .start(&format!("k{n}"), mailing("ada".into()))
            .await
            .unwrap();
        assert_eq!(run.result().await.unwrap(), format!("{n}: hello ada"));
    }
    assert_eq!(world.rows().run("k0").args, r#"{"name":"ada"}"#);
}

#[scenario]
async fn a_state_in_an_arc_is_one_of_what_it_holds_and_the_later_one_counts(world: &World) {
    let mailer = |sent| Mailer {
        sent: AtomicU32::new(sent),
    };
    let (first, last) = (Arc::new(mailer(5)), Arc::new(mailer(7)));
    for (n, expected) in [(0, "9: hello ada"), (1, "7: hello ada")] {
        let builder = world.builder([mailing::NAME]).state(Greeting("hello"));
        let builder = builder.state(Arc::clone(&first)).state(mailer(9));
        let builder = match n {
            0 => builder,
            _ => builder.state(Arc::clone(&last)),
        };
        let forge = builder.open().await.unwrap();
        let run = forge.start(&format!("k{n}"), mailing("ada".into())).await;
        assert_eq!(run.unwrap().result().await.unwrap(), expected);
        forge.shutdown().await;
    }
    let sent = |mailer: &Mailer| mailer.sent.load(Ordering::SeqCst);
    assert_eq!((sent(&first), sent(&last)), (5, 8));
}

#[scenario]
async fn a_client_that_executes_nothing_needs_no_state(world: &World) {
    let client = Forge::builder(&world.url())
        .worker(false)
        .open()
        .await
        .unwrap();
    let run = client.start("k", mailing("ada".into())).await.unwrap();
    assert!(world.soon(run.result()).await.is_none());
}
