//! `nubo migrate` and `nubo doctor`, as somebody uses them who runs the collections that ship.

#[path = "../services/postgres.rs"]
mod postgres;

mod doctor;
mod first_version;
mod place;
mod shipped;
mod starting;

use place::Driver;

/// A test that holds for every driver.
macro_rules! on_each {
    ($($name:path => $as:ident;)*) => {
        $(mod $as {
            #[test]
            fn on_sqlite() {
                $name(super::Driver::Sqlite);
            }

            #[test]
            fn on_postgres() {
                $name(super::Driver::Postgres);
            }
        })*
    };
}

on_each! {
    crate::shipped::migrations_lead_to_the_collections => migrations_lead_to_the_collections;
    crate::shipped::a_change_is_planned_applied_and_taken_back => a_change_is_planned_applied_and_taken_back;
    crate::first_version::a_database_of_it_is_brought_up_with_its_data => a_database_of_the_first_version_is_brought_up;
    crate::first_version::a_server_finds_its_data => a_server_finds_the_data_of_the_first_version;
    crate::starting::a_server_that_checks_says_what_is_missing => a_server_that_checks_says_what_is_missing;
    crate::starting::an_empty_database_is_set_up => an_empty_database_is_set_up;
    crate::doctor::says_what_is_wrong_and_what_to_do => doctor_says_what_is_wrong_and_what_to_do;
}
