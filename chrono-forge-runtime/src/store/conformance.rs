//! The store's contract, sentence by sentence, against `dyn Store` and `dyn Writer`: each case runs on every
//! backend.
//!
//! A backend enters with an implementation of [`Backend`](backend::Backend) and a line of [`conformance`]. What
//! only one database has (files, plans of queries, its errors) is tested in its own room.

mod audits;
pub(crate) mod backend;
mod blocked;
mod capabilities;
mod claims;
mod commits;
mod contention;
mod dispatch;
mod due;
pub(crate) mod fixture;
pub(crate) mod later;
mod liveness;
mod races;
mod reads;
mod recovery;
mod releases;
mod results;
mod sharing;
mod standstill;
pub(crate) mod told;
mod values;
mod wakes;

use std::io::Write as _;

use audits::{recounts, rounds};
use backend::Backend;
use contention::{deaths, families, operators, starts};
use races::{deadlocks, last_gifts};
use recovery::{pages, tails, together, unlock};

/// A room of tests for each backend. The list of the cases is this one; a case that is missing here is dead code
/// and so a warning.
macro_rules! conformance {
    ($($(#[$attribute:meta])* $name:ident: $backend:expr;)+) => {$(
        $(#[$attribute])*
        mod $name { cases! { $backend;
            claims:
                a_start_inserts_once_and_changes_nothing_after,
                a_start_tells_whether_the_run_that_it_found_has_other_arguments,
                one_key_may_name_runs_of_several_workflows,
                a_start_may_be_claimed_but_not_by_a_dead_worker,
                a_claim_raises_the_epoch_and_keeps_the_first_start,
                levels_come_before_workflows_and_workflows_in_the_order_given,
                a_claim_takes_no_more_than_asked_for_of_each_queue,
                a_claim_ends_at_bytes_as_well_as_at_runs,
                a_dead_worker_claims_nothing_and_is_told,
                half_of_the_suspects_may_be_in_quarantine_at_once,
                suspects_with_fewer_crashes_go_first,
                company_is_halved_by_each_death,
                a_claim_of_urgent_runs_leaves_the_others_where_they_are;
            commits:
                a_plan_applied_twice_equals_once,
                a_plan_under_an_old_epoch_or_another_worker_writes_nothing,
                of_two_plans_of_a_run_the_one_under_the_old_epoch_is_turned_away,
                a_pass_writes_nothing_after_its_end,
                an_upsert_replaces_a_record_but_for_its_first_instant,
                a_first_plan_that_is_written_already_is_written_again,
                no_plan_makes_a_decided_record_pending_again,
                the_last_upsert_of_a_name_in_a_plan_wins,
                a_withdrawal_deletes_a_pending_record_only,
                the_first_error_of_an_attempt_stays,
                a_completed_run_keeps_its_output,
                a_stalled_run_names_its_step_and_a_retrying_one_keeps_its_budget,
                a_park_that_drops_a_foreign_await_says_so,
                a_released_run_is_due_at_once_and_unharmed,
                what_the_database_refuses_rolls_back_the_batch;
            dispatch:
                children_are_inserted_counted_and_claimed_in_one_commit,
                unclaimed_children_are_due,
                a_dispatch_twice_counts_once_and_goes_on,
                a_key_twice_in_a_batch_is_one_child,
                cursors_of_several_spawns_stay_beside_each_other,
                a_key_is_each_parents_own_and_that_of_a_top_level_run,
                branches_of_one_run_may_have_children_of_one_key,
                the_last_child_of_a_sealed_branch_wakes_a_parked_parent_once,
                a_running_parent_is_told,
                an_unsealed_branch_wakes_nobody,
                seal_park_and_last_child_may_share_a_batch_in_any_order,
                a_failed_or_stalled_child_keeps_its_parent_waiting_until_it_completes,
                more_children_than_one_statement_holds;
            due:
                what_never_had_a_deadline_is_due_whatever_the_clock_says,
                a_wait_for_an_instant_ends_when_the_clock_reaches_it,
                ten_thousand_due_runs_are_claimed_in_the_order_of_their_arrival_across_leaps,
                of_due_runs_the_one_that_has_waited_longest_goes_first_whatever_it_waits_for,
                neither_kind_of_due_runs_starves_the_other,
                what_an_older_binary_wrote_is_due_when_its_instant_has_passed,
                the_age_of_what_waits_is_told_whatever_it_waits_for;
            wakes:
                an_idle_run_becomes_due,
                a_run_that_is_due_already_keeps_its_place,
                a_running_run_is_told_with_its_next_commit_until_it_consumes_the_wake_up,
                a_park_that_meets_a_wake_up_is_due_at_once,
                a_park_that_consumes_the_wake_up_sleeps,
                a_park_without_a_wake_up_is_not_due_before_its_instant,
                a_body_that_waits_to_be_tried_again_keeps_its_instant,
                the_last_child_spends_nothing_of_a_parent_that_waits_to_be_tried_again,
                a_run_that_was_handed_back_between_two_tries_is_due_and_stays_so,
                other_states_are_left_alone_and_nobody_is_none;
            liveness:
                a_worker_lives_until_it_retires,
                a_life_has_the_row_of_its_own_incarnation_or_none,
                the_runs_of_a_dead_worker_become_due_with_one_more_crash,
                a_worker_with_a_fresh_heartbeat_is_not_declared_dead,
                progress_forgives_crashes,
                five_deaths_in_quarantine_poison_a_run,
                a_suspect_that_had_not_begun_is_not_counted_as_crashed,
                a_death_that_was_none_is_no_crash,
                what_loses_its_pass_again_and_again_goes_into_quarantine,
                a_heartbeat_hands_back_what_memory_does_not_know,
                a_heartbeat_tells_what_was_lost,
                claims_survive_pruning_as_long_as_their_run_is_held,
                claims_survive_pruning_wherever_their_ids_lie,
                a_run_claimed_twice_by_one_worker_is_recovered_once,
                a_worker_does_not_hand_back_what_another_one_holds;
            reads:
                history_comes_in_the_order_of_outcomes_and_the_open_ones_last,
                a_history_walks_around_the_repetitions_and_finds_every_repeat,
                large_results_are_read_when_they_are_asked_for,
                runs_are_found_by_identity_and_id,
                branches_tell_whether_they_are_sealed,
                children_exist_by_key_whatever_their_workflow_and_only_in_their_branch,
                blocked_children_are_those_of_all_branches_of_one_run,
                the_next_wake_is_the_earliest_of_what_may_be_claimed_here,
                the_outlook_tells_what_runs_and_what_is_due_next,
                due_runs_of_other_names_are_named,
                due_runs_that_no_live_worker_serves_are_told_by_name_and_queue;
            values:
                texts_are_kept_to_the_letter,
                a_message_with_a_null_character_is_no_reason_to_refuse_a_plan,
                a_key_that_cannot_be_stored_is_refused_and_nothing_else,
                deadlines_round_up_to_microseconds_and_reach_the_ends_of_time,
                a_sleep_to_the_end_of_time_is_no_reason_to_wake,
                a_batch_may_be_large_in_rows_and_in_bytes;
            results:
                outputs_come_by_spawn_in_order_of_dispatch_and_in_pages,
                a_page_of_outputs_ends_when_it_is_large,
                the_order_of_completion_breaks_ties_by_dispatch_and_has_pages,
                outputs_of_runs_come_in_their_order_and_end_at_one_that_has_none,
                failures_come_by_child_step_and_attempt_in_pages_of_any_size,
                a_page_of_failures_ends_when_it_is_large;
            blocked:
                failed_and_stalled_runs_enter_the_list,
                a_run_that_goes_on_leaves_the_list,
                a_poisoned_run_is_on_the_list,
                blocked_descendants_are_those_whose_links_lead_up_to_the_run,
                blocked_descendants_are_found_over_pages_up_to_the_limit;
            standstill:
                a_run_stands_still_for_what_is_blocked_at_any_depth,
                a_run_that_waits_for_something_else_does_not_stand_still,
                a_run_stands_still_for_what_nobody_serves_if_the_caller_says_so;
            recovery:
                a_retried_run_is_idle_due_and_as_good_as_new,
                a_second_retry_is_refused_and_changes_nothing,
                other_arguments_are_for_a_run_that_has_recorded_nothing_else,
                other_states_are_refused_and_nobody_is_none,
                a_record_loses_its_outcome_and_keeps_its_attempts_and_cursors,
                named_records_are_re_armed_wherever_they_stand,
                a_name_that_means_no_failed_record_changes_nothing,
                a_stalled_child_that_completes_after_its_retry_counts_once;
            pages:
                pages_walk_the_blocked_runs_once_each,
                a_page_leaves_out_what_was_blocked_later_and_knows_the_newest_class,
                pages_of_one_branch_leave_other_blocked_runs_alone;
            tails:
                the_tail_is_every_failure_behind_the_last_success;
            together:
                several_runs_are_answered_in_order_as_each_alone;
            unlock:
                an_unlocked_run_is_due_and_its_holder_fenced,
                what_nobody_holds_cannot_be_unlocked,
                crashes_are_forgotten_of_runs_that_go_on,
                pending_records_come_by_name_with_their_newest_error,
                a_poisoned_run_is_claimed_like_any_other_after_its_retry;
            recounts:
                pages_count_every_child_once_up_to_the_last_one_asked_for,
                children_that_nobody_took_are_told_apart,
                a_recount_of_a_counter_that_is_right_changes_nothing,
                a_counter_that_is_too_high_is_set_right_and_the_parent_goes_on,
                a_running_parent_is_told,
                a_counter_that_is_too_low_is_set_right_and_nobody_is_woken,
                an_unsealed_branch_is_set_right_and_its_parent_left_alone,
                children_that_exist_were_dispatched_and_those_that_are_missing_prove_nothing;
            rounds:
                branches_are_found_page_by_page_once_they_are_old_enough,
                one_of_two_processes_takes_a_round,
                the_longest_due_go_first_and_a_large_branch_goes_alone,
                a_result_is_told_until_the_branch_is_over,
                a_branch_that_was_repaired_is_remembered_and_can_open_again,
                a_named_audit_is_taken_whether_or_not_it_is_due,
                a_branch_whose_row_is_gone_is_forgotten,
                a_parent_whose_wake_up_was_lost_is_woken_once,
                a_running_parent_is_looked_at_again,
                a_parent_that_waits_for_something_else_is_left_alone;
            races:
                of_two_retries_one_wins,
                a_retry_and_a_wake_up_make_the_run_due_once,
                a_retry_meets_the_commit_of_the_stall,
                an_unlock_and_the_completion_of_the_pass_exclude_each_other,
                a_heartbeat_tells_of_an_unlock_at_the_latest_the_next_time,
                a_reset_comes_before_or_after_a_death,
                a_run_is_retried_by_the_walk_or_by_its_key;
            deadlocks:
                batches_that_count_the_same_branches,
                batches_whose_own_runs_are_the_parents_of_the_other,
                batches_that_dispatch_beside_those_that_count,
                a_page_of_retries_beside_commits_of_the_same_families;
            last_gifts:
                children_claimed_at_the_death_of_their_worker,
                runs_claimed_at_the_death_of_their_worker,
                runs_started_at_the_death_of_their_worker,
                a_heartbeat_keeps_what_is_claimed_beside_it;
            sharing:
                a_due_run_is_claimed_by_one_worker_only,
                readers_see_whole_commits_while_the_writer_works,
                many_may_open_a_new_database_at_once,
                a_name_belongs_to_the_application_that_entered_it_first;
            releases:
                a_migration_that_only_adds_leaves_word_who_may_go_on,
                a_migration_that_does_more_turns_older_binaries_away,
                a_migration_of_a_later_binary_is_not_undone_by_this_one,
                each_migration_stands_once_it_is_applied_whatever_becomes_of_the_next,
                a_schema_that_was_changed_is_told_with_its_versions;
            capabilities:
                what_is_declared_is_there,
                a_call_reaches_those_who_listen_and_is_never_refused,
                calls_stay_in_their_database,
                more_calls_than_one_message_holds,
                a_held_lock_is_not_free_until_its_holder_is_gone;
            families:
                families_complete_in_batches_of_any_order,
                children_of_one_branch_are_completed_by_many_writers,
                lost_replies_neither_lose_nor_double_anything,
                the_children_of_a_large_branch_are_counted_by_many_writers;
            starts:
                a_key_that_many_start_at_once_is_one_run,
                a_start_whose_reply_was_lost_is_found,
                what_is_started_at_once_is_inserted_claimed_or_found,
                parents_that_dispatch_one_key_at_once_have_a_child_each,
                a_key_is_a_childs_and_that_of_a_run_that_is_started_meanwhile,
                a_plan_that_many_apply_at_once_is_written_once;
            operators:
                retries_and_wake_ups_by_hand_meet_commits,
                runs_are_unlocked_under_the_hands_of_their_workers,
                a_recount_among_commits_finds_every_counter_right,
                audits_among_commits_come_to_an_end;
            deaths:
                workers_declared_dead_at_work_lose_their_runs_and_no_commit,
                a_worker_dies_once;
        } }
    )+};
}

/// One test for each case, under the name of its room.
macro_rules! cases {
    ($backend:expr; $($room:ident: $($case:ident),+;)+) => {$(
        mod $room {$(
            #[test]
            fn $case() {
                let name = concat!(module_path!(), "::", stringify!($case));
                crate::store::conformance::run(name, &$backend, crate::store::conformance::$room::$case);
            }
        )+}
    )+};
}

conformance! {
    #[cfg(feature = "sqlite")]
    sqlite: crate::store::conformance::backend::sqlite::Sqlite;
    #[cfg(feature = "postgres")]
    postgres: crate::store::conformance::backend::postgres::Postgres;
}

/// A case that cannot run says so by name.
pub(crate) fn run(name: &str, backend: &dyn Backend, case: fn(&dyn Backend)) {
    match backend.missing() {
        None => case(backend),
        Some(remedy) => tell_skipped(name, remedy),
    }
}

/// Whether or not the harness keeps what tests print: it would keep an `eprintln!` to itself.
pub(crate) fn tell_skipped(name: &str, remedy: &str) {
    let _ = writeln!(std::io::stderr(), "\nskipped: {name}: {remedy}");
}
