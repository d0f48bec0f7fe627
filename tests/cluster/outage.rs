//! The server is away for longer than a lease: everything goes on by itself.

use std::time::Duration;

use chrono_forge_tests::labour::fan;
use chrono_forge_tests::process::bounded_by;
use chrono_forge_tests::server::Stop;

use crate::fleet::{Fleet, HANGS, figure};

#[test]
fn after_an_outage_of_several_leases_everybody_goes_on_and_nobody_was_declared_dead() {
    let Some(fleet) = Fleet::start(
        "after_an_outage_of_several_leases_everybody_goes_on_and_nobody_was_declared_dead",
    ) else {
        return;
    };
    bounded_by(HANGS, async {
        let away = Duration::from_secs(figure("OUTAGE_SECONDS", 7));
        let _workers = [fleet.worker(), fleet.worker()];
        let forge = fleet.observer().await;
        let run = forge
            .start("p", fan(fleet.out(), 600, 2, 400))
            .await
            .unwrap();
        fleet.await_row(
            "they work",
            "SELECT (count(*) > 50)::int::bigint AS number FROM chrono_forge_workflows WHERE state = 2",
        );
        fleet.server.stop(Stop::Immediate);
        std::thread::sleep(away);
        fleet.server.resume();
        let sum = loop {
            // The client's patience may end before the server is back.
            if let Ok(sum) = run.result().await {
                break sum;
            }
        };
        assert_eq!(sum, 1_200);
        fleet.assert_whole(600, 2);
        // Whoever was away itself gives the others a lease to come back.
        let dead =
            "SELECT count(*) AS number FROM chrono_forge_workers WHERE stopped_at IS NOT NULL";
        assert_eq!(fleet.number(dead), Some(0), "{}", fleet.story());
    });
}
