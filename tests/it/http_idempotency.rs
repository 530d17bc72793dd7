//! Idempotency keys: the same request again gets the first answer, and nothing is made twice.
//!
//! Over a real connection to a whole server.

use serde_json::{Value, json};

use crate::support::{Reply, Setup, TestServer, order, order_with, together};

const JSON: &str = "Content-Type: application/json";

async fn create(server: &TestServer, key: &str, order: &Value) -> Reply {
    let key = format!("Idempotency-Key: {key}");
    let headers = [JSON, &key];
    server
        .send("POST /v1/orders", &headers, order.to_string())
        .await
}

async fn create_batch(server: &TestServer, key: &str, orders: &Value) -> Reply {
    let key = format!("Idempotency-Key: {key}");
    let headers = [JSON, &key];
    let body = orders.to_string();
    server.send("POST /v1/orders/batch", &headers, body).await
}

fn is_replayed(reply: &Reply) -> bool {
    reply
        .headers
        .get("idempotency-replayed")
        .is_some_and(|value| value == "true")
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_byte_for_byte() {
    let server = TestServer::start().await;
    let sent = order_with(json!({"order_id": "mine"}));
    let first = create(&server, "k-1", &sent).await;
    assert_eq!((first.status, is_replayed(&first)), (201, false));
    let again = create(&server, "k-1", &sent).await;
    assert_eq!((again.status, is_replayed(&again)), (201, true));
    assert_eq!(again.body, first.body);
    for header in ["location", "content-type", "etag"] {
        assert_eq!(again.header(header), first.header(header));
    }
    assert_eq!(server.count().await, 1);
    server.stop().await;
}

#[tokio::test]
async fn another_request_under_a_used_key_is_refused_and_stores_nothing() {
    let server = TestServer::start().await;
    create(&server, "k-1", &order()).await;
    let other = order_with(json!({"customer_id": "c2"}));
    let refused = create(&server, "k-1", &other).await;
    let told = (refused.status, refused.code());
    assert_eq!(told, (422, "idempotency-key-reused".to_owned()));
    assert_eq!(server.count().await, 1);
    assert_eq!(create(&server, "k-2", &other).await.status, 201);
    server.stop().await;
}

#[tokio::test]
async fn twins_in_flight_become_one_order() {
    let server = TestServer::start().await;
    let sent = order();
    let twins = (0..8).map(|_| create(&server, "twin", &sent));
    let replies = together(twins).await;
    assert!(replies.iter().all(|reply| reply.status == 201));
    assert!(replies.iter().all(|reply| reply.body == replies[0].body));
    let first = replies.iter().filter(|reply| !is_replayed(reply));
    assert_eq!(first.count(), 1);
    assert_eq!(server.count().await, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_does_not_use_the_key_up() {
    let server = TestServer::start().await;
    let bad = order_with(json!({"items": []}));
    assert_eq!(create(&server, "k-1", &bad).await.status, 422);
    let taken = order_with(json!({"order_id": "taken"}));
    server.create(&taken).await;
    assert_eq!(create(&server, "k-1", &taken).await.code(), "order-exists");
    assert_eq!(create(&server, "k-1", &order()).await.status, 201);
    assert_eq!(server.count().await, 2);
    server.stop().await;
}

#[tokio::test]
async fn a_full_server_still_repeats_what_it_answered() {
    let mut setup = Setup::default();
    setup.engine.open_orders_max = 1;
    let server = TestServer::with(setup).await;
    let sent = order_with(json!({"process": "slow"}));
    let first = create(&server, "k-1", &sent).await;
    assert_eq!(create(&server, "k-2", &sent).await.code(), "overloaded");
    let again = create(&server, "k-1", &sent).await;
    assert_eq!((again.status, is_replayed(&again)), (201, true));
    assert_eq!(again.body, first.body);
    let other = order_with(json!({"process": "slow", "customer_id": "c2"}));
    let other = create(&server, "k-1", &other).await;
    assert_eq!(other.code(), "idempotency-key-reused");
    server.stop().await;
}

#[tokio::test]
async fn a_key_is_over_after_its_time() {
    let mut setup = Setup::default();
    setup.engine.key_retention_us = 1;
    let server = TestServer::with(setup).await;
    create(&server, "k-1", &order()).await;
    let other = order_with(json!({"customer_id": "c2"}));
    let again = create(&server, "k-1", &other).await;
    assert_eq!((again.status, is_replayed(&again)), (201, false));
    assert_eq!(server.count().await, 2);
    server.stop().await;
}

/// It is nothing to repeat any more, also where the engine takes nothing new.
#[tokio::test]
async fn a_key_that_is_over_says_nothing_on_a_full_server() {
    let mut setup = Setup::default();
    (setup.engine.key_retention_us, setup.engine.open_orders_max) = (1, 1);
    let server = TestServer::with(setup).await;
    let sent = order_with(json!({"process": "slow"}));
    assert_eq!(create(&server, "k-1", &sent).await.status, 201);
    // A whole turn later at least.
    for _ in 0..2 {
        server.get("/v1/stats").await;
    }
    let other = order_with(json!({"process": "slow", "customer_id": "c2"}));
    for again in [sent, other] {
        let again = create(&server, "k-1", &again).await;
        assert_eq!(again.code(), "overloaded");
    }
    server.stop().await;
}

/// A server without the process of an order that was accepted before.
#[tokio::test]
async fn what_was_accepted_is_repeated_under_other_settings() {
    let server = TestServer::start().await;
    let slow = |key| order_with(json!({"process": "slow", "idempotency_key": key}));
    let plain = order_with(json!({"process": "slow"}));
    let single = create(&server, "k-1", &plain).await;
    let own = server.post("/v1/orders", slow("own").to_string()).await;
    let sent = json!([plain, slow("item"), order()]);
    let batch = create_batch(&server, "b-1", &sent).await;
    let place = Some(server.stop().await);
    let mut setup = Setup {
        place,
        ..Setup::default()
    };
    setup.processes.retain(|process| &*process.name != "slow");
    let server = TestServer::with(setup).await;
    let again = create(&server, "k-1", &plain).await;
    assert_eq!((again.status, &again.body), (201, &single.body));
    assert!(is_replayed(&again));
    let again = server.post("/v1/orders", slow("own").to_string()).await;
    assert_eq!((again.status, &again.body), (201, &own.body));
    let again = create_batch(&server, "b-1", &sent).await;
    assert_eq!((is_replayed(&again), &again.body), (true, &batch.body));
    // Nothing is known of these.
    assert_eq!(create(&server, "k-2", &plain).await.code(), "invalid-order");
    let other = order_with(json!({"process": "slow", "notes": "other"}));
    let other = create(&server, "k-1", &other).await;
    assert_eq!(other.code(), "idempotency-key-reused");
    assert_eq!(server.count().await, 5);
    server.stop().await;
}

/// The same bytes in the other form are other orders.
#[tokio::test]
async fn a_batch_in_another_form_is_another_request() {
    let server = TestServer::start().await;
    let [one, two, three] = ["one", "two", "three"].map(|id| order_with(json!({"order_id": id})));
    let body = format!("[{one},{two},\n{three}\n]");
    let send = async |form: &str| {
        let (form, body) = (format!("Content-Type: application/{form}"), body.clone());
        let headers = [&*form, "Idempotency-Key: b-1"];
        server.send("POST /v1/orders/batch", &headers, body).await
    };
    let array = send("json").await.json();
    assert_eq!(array["results"][1]["order"]["order_id"], "two");
    assert_eq!(send("x-ndjson").await.code(), "idempotency-key-reused");
    assert_eq!(send("json").await.json(), array);
    server.stop().await;
}

#[tokio::test]
async fn a_batch_under_a_key_is_accepted_once() {
    let server = TestServer::start().await;
    let bad = order_with(json!({"items": []}));
    let sent = json!([order(), bad, order(), order_with(json!({"order_id": "x"}))]);
    let first = create_batch(&server, "b-1", &sent).await;
    assert_eq!((first.status, is_replayed(&first)), (200, false));
    let again = create_batch(&server, "b-1", &sent).await;
    assert_eq!((again.status, is_replayed(&again)), (200, true));
    assert_eq!(again.body, first.body);
    assert_eq!(server.count().await, 3);
    let other = create_batch(&server, "b-1", &json!([order()])).await;
    assert_eq!(other.code(), "idempotency-key-reused");
    server.stop().await;
}

#[tokio::test]
async fn the_key_of_a_batch_belongs_to_the_whole_of_it() {
    let server = TestServer::start().await;
    let bad = order_with(json!({"items": []}));
    // Without a good order there is nothing that the key could belong to.
    let none = create_batch(&server, "b-1", &json!([bad])).await;
    assert_eq!((none.status, is_replayed(&none)), (200, false));
    let sent = json!([bad, order()]);
    let first = create_batch(&server, "b-1", &sent).await;
    for other in [json!([order()]), json!([order(), bad, order()])] {
        let refused = create_batch(&server, "b-1", &other).await;
        assert_eq!(refused.code(), "idempotency-key-reused");
    }
    assert_eq!(server.count().await, 1);
    let again = create_batch(&server, "b-1", &sent).await;
    assert_eq!(
        (again.body == first.body, is_replayed(&again)),
        (true, true)
    );
    server.stop().await;
}

/// Its key is kept with the first order that is accepted, by the same commit.
#[tokio::test]
async fn a_batch_of_which_nothing_is_accepted_leaves_its_key_free() {
    let mut setup = Setup::default();
    setup.engine.open_orders_max = 1;
    let server = TestServer::with(setup).await;
    let later = |id| order_with(json!({"order_id": id, "start_at": "2999-01-01T00:00:00Z"}));
    assert_eq!(
        create_batch(&server, "b-0", &json!([later("a")]))
            .await
            .status,
        200
    );
    let refused = json!([later("b"), later("c")]);
    let refused = create_batch(&server, "b-1", &refused).await.json();
    assert_eq!(refused["results"][1]["problem"]["code"], "overloaded");
    server.post("/v1/orders/a/cancel", "{}").await;
    let commits = async || {
        server.get("/v1/stats").await.json()["shard"]["position"]
            .as_i64()
            .unwrap()
    };
    let before = commits().await;
    let other = create_batch(&server, "b-1", &json!([later("d")])).await;
    assert_eq!(
        other.json()["results"][0]["status"],
        201,
        "{}",
        other.text()
    );
    assert_eq!(
        commits().await,
        before + 1,
        "the key costs a flush of its own"
    );
    let again = create_batch(&server, "b-1", &json!([later("e")])).await;
    assert_eq!(again.code(), "idempotency-key-reused");
    server.stop().await;
}

/// There is no room for anything any more, but what was answered is answered again.
#[tokio::test]
async fn a_batch_is_repeated_while_there_is_no_room() {
    let mut setup = Setup::default();
    setup.engine.open_orders_max = 2;
    let server = TestServer::with(setup).await;
    let later = |id| order_with(json!({"order_id": id, "start_at": "2999-01-01T00:00:00Z"}));
    let sent = json!([later("a"), later("b"), later("c")]);
    let first = create_batch(&server, "b-1", &sent).await.json();
    assert_eq!(first["results"][2]["problem"]["code"], "overloaded");
    let again = create_batch(&server, "b-1", &sent).await.json();
    for at in [0, 1] {
        assert_eq!(again["results"][at], first["results"][at]);
    }
    let other = create_batch(&server, "b-1", &json!([later("d")])).await;
    assert_eq!(other.code(), "idempotency-key-reused");
    server.stop().await;
}

#[tokio::test]
async fn a_batch_that_found_room_for_some_is_not_called_answered() {
    let mut setup = Setup::default();
    setup.engine.open_orders_max = 2;
    let server = TestServer::with(setup).await;
    let later = |id| order_with(json!({"order_id": id, "start_at": "2999-01-01T00:00:00Z"}));
    let sent = json!([later("a"), later("b"), later("c")]);
    let first = create_batch(&server, "b-1", &sent).await.json();
    assert_eq!(first["results"][2]["problem"]["code"], "overloaded");
    let again = create_batch(&server, "b-1", &sent).await;
    assert!(!is_replayed(&again), "one order has no answer yet");
    assert_eq!(again.json()["results"][0], first["results"][0]);
    server.stop().await;
}

#[tokio::test]
async fn orders_of_a_batch_may_have_keys_of_their_own() {
    let server = TestServer::start().await;
    let keyed = |key: &str| order_with(json!({"idempotency_key": key}));
    let sent = json!([keyed("a"), keyed("b"), order()]);
    let first = server
        .post("/v1/orders/batch", sent.to_string())
        .await
        .json();
    let sent = json!([keyed("b"), keyed("c"), keyed("bad key")]);
    let again = server
        .post("/v1/orders/batch", sent.to_string())
        .await
        .json();
    assert_eq!(again["results"][0], first["results"][1]);
    assert_eq!(again["results"][1]["status"], 201);
    let fault = &again["results"][2]["problem"]["errors"][0];
    assert_eq!(fault["pointer"], "/idempotency_key");
    assert_eq!(server.count().await, 4);
    server.stop().await;
}

#[tokio::test]
async fn a_single_order_may_bring_its_key_in_the_body() {
    let server = TestServer::start().await;
    let sent = order_with(json!({"idempotency_key": "in-body"}));
    let first = server.post("/v1/orders", sent.to_string()).await;
    assert_eq!(first.status, 201);
    let again = create(&server, "in-body", &sent).await;
    assert!(is_replayed(&again));
    let both = create(&server, "another", &sent).await;
    assert_eq!(both.code(), "bad-idempotency-key");
    assert_eq!(server.count().await, 1);
    server.stop().await;
}
