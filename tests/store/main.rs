//! What a store must do, the same for every backend. A mistake in one backend becomes a case for
//! all of them first.
//!
//! A backend is one line in the list of this file, and its place in `databases`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failure is how a test tells"
)]

mod backend;
mod behind;
mod commits;
#[path = "../databases/mod.rs"]
mod databases;
mod keys;
mod ledger;
mod lists;
mod opening;
mod reads;
mod rows;
#[path = "../databases/unchecked.rs"]
mod unchecked;

use orderd::order::{Seq, ShardNumber};

/// Makes a test of each case for each backend.
macro_rules! conformance {
    ($($backend:ident: $fresh:path),+; $($module:ident: [$($case:ident),+ $(,)?]),+ $(,)?) => {
        conformance!(@ $($backend: $fresh),+; { $($module: [$($case),+]),+ });
    };
    (@ $($backend:ident: $fresh:path),+; $cases:tt) => {
        $(conformance!(# $backend: $fresh; $cases);)+
    };
    (# $backend:ident: $fresh:path; { $($module:ident: [$($case:ident),+]),+ }) => {
        mod $backend {
            $(mod $module {
                $(#[test]
                fn $case() {
                    if let Some(place) = $fresh() {
                        $crate::$module::$case(&$crate::backend::Backend::at(place));
                    }
                })+
            })+
        }
    };
}

conformance! {
    sqlite: crate::databases::sqlite::place,
    postgres: crate::databases::postgres::place,
    mysql: crate::databases::mysql::place;
    opening: [
        a_fresh_store_is_empty,
        the_epoch_rises_with_each_opening,
        what_was_committed_is_there_after_a_restart,
        a_newer_schema_is_refused,
        a_second_server_is_told_that_the_store_is_in_use,
        a_place_where_no_store_can_be_is_named,
        a_commit_survives_power_loss,
        housekeeping_changes_nothing,
        a_store_that_is_opened_anew_knows_what_became_of_a_commit,
        a_store_that_somebody_else_wrote_to_is_not_opened_anew,
    ],
    commits: [
        an_old_epoch_is_fenced,
        an_old_epoch_is_fenced_even_at_a_position_that_is_taken,
        a_gap_and_a_repetition_are_refused,
        a_taken_id_is_left_out_with_its_events_and_its_count,
        a_batch_in_which_everything_collides_is_a_commit,
        collisions_come_and_go,
        a_commit_that_fails_in_the_middle_stores_nothing,
        a_counter_below_zero_is_refused,
        a_changed_order_is_written_in_its_latest_state,
        counters_are_kept_by_process,
        sums_stay_at_their_highest_value,
        processes_are_defined_once,
        what_stands_beside_is_kept_until_it_is_over,
        an_order_that_ends_in_the_commit_that_releases_it_has_no_hold,
    ],
    keys: [
        an_answer_is_kept_with_its_order,
        a_taken_key_leaves_the_order_out,
        an_order_that_is_left_out_leaves_its_key_free,
        a_refused_commit_keeps_no_key,
        a_lost_receipt_is_found_again,
        a_key_that_is_over_is_given_again_and_in_the_end_removed,
        keys_from_the_future_hold_up_no_others,
        an_answer_is_kept_with_its_change,
        a_refused_commit_keeps_no_key_of_a_change,
        a_key_of_a_change_is_over_like_any_other,
        changes_under_a_key_are_found_again,
        a_key_that_occurs_twice_in_a_commit_counts_for_the_first_order_stored,
    ],
    reads: [
        every_status_survives_the_way_through_the_store,
        everything_that_was_ordered_survives,
        the_journal_is_chained,
        a_history_goes_back_to_the_beginning,
        the_feed_of_events_is_read_in_pages_of_any_size,
        open_orders_are_read_in_pages,
        orders_that_stay_open_for_long_are_not_forgotten,
        what_steps_said_is_read_with_their_order,
        orders_are_read_by_their_numbers,
    ],
    ledger: [
        receivers_are_kept_over_a_restart,
        progress_and_reports_are_noted_together,
        an_answer_is_kept_with_its_receiver_or_neither,
        who_has_lost_the_shard_notes_nothing,
    ],
    lists: [
        lists_give_what_a_search_from_end_to_end_gives,
        a_list_is_paged_without_gaps_or_repetitions,
        time_ranges_are_found_among_missing_numbers,
        an_empty_store_lists_nothing,
        orders_that_came_later_than_they_were_made_are_found_by_their_times,
        open_orders_are_listed_by_step_and_reason,
    ],
    rows: [
        a_bad_row_is_named_and_shown_to_nobody,
        a_bad_output_is_named,
        a_bad_journal_row_is_named,
        a_status_has_its_data_and_only_its_own,
        what_was_started_says_when,
        other_columns_have_their_bounds,
        what_is_written_fits_the_schema,
    ],
}

#[test]
fn an_unknown_url_is_refused_without_showing_its_password() {
    let refused = orderd::store::open("oracle://scott:tiger@host/db", 1)
        .err()
        .unwrap();
    let text = refused.to_string();
    assert!(text.contains("oracle") && !text.contains("tiger"), "{text}");
}

/// PostgreSQL keeps the old orders that are open a second time, says if both differ, and makes up
/// for orders that came by another way than commits.
#[test]
fn an_old_order_that_is_kept_in_one_place_only_is_named() {
    let Some(place) = databases::postgres::place() else {
        return;
    };
    let backend = backend::Backend::at(place);
    let mut hand = backend::Hand::new(&backend);
    hand.accept(&["old"]);
    hand.skip(600_000);
    hand.accept(&["young"]);
    drop(hand);
    assert_eq!(backend.integrity(), [""; 0]);
    backend.sql("DELETE FROM lingering").unwrap();
    backend.sql("INSERT INTO lingering VALUES (7)").unwrap();
    let said = backend.integrity().join("; ");
    assert!(
        said.contains("order 1 is open and old and does not linger"),
        "{said}"
    );
    assert!(said.contains("order 7 lingers and is not open"), "{said}");
    backend.sql("DELETE FROM lingering").unwrap();
    backend.sql("UPDATE shards SET lingering_to = 0").unwrap();
    let hand = backend::Hand::new(&backend);
    drop(hand);
    assert_eq!(backend.integrity(), [""; 0]);
    assert_eq!(backend.sql("UPDATE lingering SET seq = seq").unwrap(), 1);
}

/// A MariaDB server of one test's own, with a database.
struct Own {
    server: databases::mysql::Server,
    name: String,
}

impl databases::Place for Own {
    fn url(&self) -> String {
        self.server.url(&self.name)
    }
}

/// A server may speak another language, and cut all answers short unless it is told otherwise.
#[test]
fn a_server_with_words_and_limits_of_its_own_is_understood() {
    if databases::mysql::place().is_none() {
        return;
    }
    let server = databases::mysql::Server::start("");
    let name = server.database();
    let backend = backend::Backend::at(Box::new(Own { server, name }));
    let settings = "SET GLOBAL sql_select_limit = 1, GLOBAL lc_messages = 'de_DE'";
    backend.sql(settings).unwrap();
    let mut hand = backend::Hand::new(&backend);
    hand.accept(&["a", "b", "c"]);
    assert_eq!(hand.accept(&["a", "d"]).collided, [0]);
    let mut commit = hand.blank();
    for id in ["a", "b", "e", "f"] {
        hand.create(&mut commit, id);
    }
    let receipt = hand.commit(&commit);
    assert_eq!(receipt.collided, [0, 1]);
    let seqs: Vec<Seq> = (1..10).map(Seq).collect();
    assert_eq!(hand.store.orders_at(&seqs).unwrap().len(), 6);
    let reopened = hand.store.reopen(&commit).unwrap();
    assert_eq!(reopened.fate, Some(receipt));
    assert_eq!(
        hand.store.open_shard(ShardNumber(0)).unwrap().tallies.len(),
        1
    );
}
