//! The behaviour of the engine: the same suite on each runtime.

mod durability;
mod jobs;
mod kept;
mod model;
mod opening;
mod pulls;
mod read_only;
mod restarts;
mod salvage;
mod salvage_in_order;
mod timeouts;
mod world;

use world::{Host, World};

/// Runs every test of the suite on smol and on tokio.
macro_rules! on_each_runtime {
    ($($module:ident: $($test:ident)*;)*) => {
        mod on_smol {
            $(mod $module {
                $(#[test] fn $test() { crate::run(crate::Host::smol(), crate::$module::$test); })*
            })*
        }
        mod on_tokio {
            $(mod $module {
                $(#[test] fn $test() { crate::run(crate::Host::tokio(), crate::$module::$test); })*
            })*
        }
    };
}

on_each_runtime! {
    pulls:
        a_waiting_pull_is_woken_by_the_record_that_it_waits_for
        a_pull_with_nothing_to_tell_waits_as_long_as_it_was_asked_to
        a_second_pull_at_once_waits_for_its_turn_and_then_answers_with_nothing
        a_pull_that_is_dropped_takes_nothing_away
        a_pull_that_gathers_answers_when_nothing_more_comes
        a_pull_that_gathers_answers_at_once_with_what_ends_it
        a_pull_that_gathers_answers_in_time_and_within_its_limits
        a_gathering_pull_that_is_dropped_takes_nothing_away
        everybody_reads_the_same_early_late_and_slowly
        an_open_pull_ends_when_the_session_is_closed
        open_pulls_are_answered_when_the_engine_begins_to_close
        a_consumer_that_has_not_joined_gets_an_error
        a_reader_names_its_own_sequence_and_waits_for_the_next
        a_reader_in_a_hurry_gets_what_is_in_the_log_alone;
    jobs:
        a_job_runs_and_finishes
        a_runner_that_panics_fails_its_job_and_nothing_else
        an_interrupt_reaches_the_runner_and_a_second_one_too
        a_job_that_emits_too_much_is_interrupted_and_says_so
        a_service_that_does_not_exist_is_refused
        statements_of_every_session_are_answered_by_the_engine
        closing_a_session_interrupts_its_job_and_releases_it;
    timeouts:
        a_consumer_expires_at_its_timeout_and_not_before
        an_open_pull_is_activity
        a_session_that_is_only_pulled_from_is_not_idle
        a_busy_session_is_not_idle
        a_job_is_interrupted_at_its_timeout
        a_session_is_closed_when_nobody_uses_it
        what_is_due_happens_without_anybody_asking
        a_wall_clock_that_is_set_changes_no_timeout
        people_are_shown_the_walls_time_once_it_is_past_the_last_record;
    durability:
        nothing_is_visible_before_it_is_durable
        commands_that_come_in_during_a_sync_share_the_next
        a_full_queue_answers_overloaded_at_once
        a_failed_append_ends_the_engine
        who_asks_during_the_last_append_is_answered_too
        a_log_that_skips_a_record_is_not_believed
        a_broken_promise_ends_the_engine
        replay_leads_to_the_views_that_readers_saw;
    read_only:
        whoever_joins_reads_everything_and_nothing_else_is_permitted
        no_session_ends_by_itself_and_consumers_expire;
    restarts:
        what_ran_is_lost_and_the_rest_is_there
        cursors_go_on_where_they_were_after_a_clean_end
        after_a_crash_a_consumer_sees_a_batch_twice_but_misses_none
        a_shutdown_interrupts_what_runs_and_waits_for_it
        a_job_that_does_not_end_is_lost_and_said_so
        a_start_with_a_clock_35_days_ahead_holds_up_no_timeout_of_the_next;
}

fn run<F: Future<Output = ()>>(host: Host, test: fn(World) -> F) {
    host.block_on(test(World::new(&host)));
}
