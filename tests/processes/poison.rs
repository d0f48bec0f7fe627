//! A run that takes down every process that touches it.

use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::labour::{killer, labour};
use chrono_forge_tests::process::bounded;

use crate::ground;

/// Two deaths lead into quarantine, five in quarantine to the end.
const DEATHS: usize = 7;

#[backends]
fn a_killer_is_failed_as_poison_and_its_bystanders_are_not(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let forge = ground.observer().await;
        let mut others = Vec::new();
        for n in 0..12 {
            let labour = labour(ground.out(), 6, 150);
            others.push(
                forge
                    .start(&format!("bystander {n}"), labour)
                    .await
                    .unwrap(),
            );
        }
        forge.start("killer", killer(ground.out())).await.unwrap();
        let killed =
            "SELECT count(*) FROM chrono_forge_workflows WHERE key = 'killer' AND state = 3";
        let mut deaths = 0;
        while ground.look().number(killed, &[]) == 0 {
            let mut victim = ground.doomed(ground.lease());
            if deaths < DEATHS {
                assert!(!victim.ended().success());
                deaths += 1;
            } else {
                ground.await_row("the killer is failed", killed);
            }
        }
        let _last = ground.victim(ground.lease(), "");
        for run in others {
            assert_eq!(run.result().await.unwrap(), 6);
        }
        let kills = ground
            .lines()
            .iter()
            .filter(|line| line.step == "kill")
            .count();
        assert_eq!(kills, DEATHS, "{}", ground.story());
        let errors = ground.look().texts(
            "SELECT w.key || ' ' || e.error_class FROM chrono_forge_error_logs AS e
            JOIN chrono_forge_workflows AS w ON w.id = e.workflow_id",
            &[],
        );
        assert_eq!(errors, ["killer chrono_forge::Poisoned"]);
    });
}
