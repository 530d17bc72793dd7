//! Five existing wire formats over the same engine, so that their clients go on working.
//!
//! A dialect's file translates its requests to the types of orders, and orders back to its answers;
//! nothing else. What dialects share is in the files beside them: `json`, `decimal` and `fields`
//! read, `refusal` says what is wrong, `words` and `answer` say it in the old way, `openapi` and
//! `page` describe it.

pub mod answer;
pub mod decimal;
pub mod fields;
pub mod json;
pub mod openapi;
pub mod page;
pub mod refusal;
pub mod words;
