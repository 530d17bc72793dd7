//! What happens to a receiver at the same moment: changes, its end, its courier's decisions.
//!
//! A lock or a place in a queue is held by the test, so that the moment is always the same.

use std::pin::pin;
use std::time::Duration;

use rand::SeedableRng;
use tempfile::TempDir;

use super::*;
use crate::clock::SystemClock;
use crate::order::{Position, ShardNumber};
use crate::outbound::ClientSettings;
use crate::store;
use crate::telling::FeedSettings;

/// Receivers in a store of their own, and a journal that ends where the test says.
struct Scene {
    webhooks: Arc<Webhooks>,
    head: tokio::sync::watch::Sender<Position>,
    _folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("orders.db").display());
        let store = store::open(&url, 1).unwrap();
        store.open_shard(ShardNumber(0)).unwrap();
        let head = tokio::sync::watch::Sender::new(Position(0));
        let settings = FeedSettings::default();
        let feed = Feed::new(Arc::clone(&store), head.subscribe(), |_, _| {}, settings);
        let webhooks = Webhooks::new(WebhookParts {
            feed,
            store,
            client: Client::new(ClientSettings::default()),
            clock: Arc::new(SystemClock::default()),
            random: StdRng::seed_from_u64(1),
            settings: WebhookSettings::default(),
        });
        Self {
            webhooks,
            head,
            _folder: folder,
        }
    }

    async fn receiver(&self) -> Arc<Endpoint> {
        let new = NewWebhook {
            url: "http://shop.example/".into(),
            ..NewWebhook::default()
        };
        let made = self.webhooks.create(new, None, None).await.unwrap();
        self.webhooks.find(&made.view.id).unwrap()
    }

    async fn kept(&self) -> Vec<store::KeptWebhook> {
        let ledger = self.webhooks.desk.ledger().unwrap();
        ledger.webhooks().await.unwrap()
    }
}

fn place(position: i64) -> EventPlace {
    EventPlace {
        position: Position(position),
        index: 0,
    }
}

#[tokio::test]
async fn what_waits_for_the_end_of_a_receiver_does_not_bring_it_back() {
    let scene = Scene::new();
    let endpoint = scene.receiver().await;
    let turn = endpoint.turn().await.unwrap();
    let mut deleted = pin!(scene.webhooks.delete(&endpoint.id));
    let mut paused = pin!(scene.webhooks.pause(&endpoint.id, "x", None));
    let mut again = pin!(scene.webhooks.delete(&endpoint.id));
    assert!(is_pending(&mut deleted).await);
    assert!(is_pending(&mut paused).await);
    assert!(is_pending(&mut again).await);
    drop(turn);
    deleted.await.unwrap();
    assert!(matches!(paused.await, Err(WebhookError::NotFound)));
    assert!(matches!(again.await, Err(WebhookError::NotFound)));
    assert_eq!(scene.kept().await, []);
}

/// Polls once.
async fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
    })
    .await
}

#[tokio::test]
async fn what_the_courier_decides_during_a_change_stays() {
    let scene = Scene::new();
    let endpoint = scene.receiver().await;
    let mut rotated = pin!(scene.webhooks.rotate(&endpoint.id, Duration::ZERO, None));
    assert!(is_pending(&mut rotated).await);
    // The change is on its way to the store.
    let pause = Pause {
        reason: "410".into(),
        since: Timestamp(7),
        is_automatic: true,
    };
    endpoint.edit(|settings, progress| {
        settings.pause = Some(pause.clone());
        progress.delivered = 9;
    });
    let secret = rotated.await.unwrap().secret.unwrap();
    let view = endpoint.view();
    assert_eq!((view.pause, view.delivered), (Some(pause), 9));
    assert_eq!(endpoint.settings().secrets(Timestamp(i64::MAX)), [secret]);
}

#[tokio::test]
async fn there_are_never_more_than_may_be() {
    let scene = Scene::new();
    let making: Vec<_> = (0..WEBHOOKS_MAX + 20)
        .map(|_| {
            let webhooks = Arc::clone(&scene.webhooks);
            tokio::spawn(async move {
                webhooks
                    .create(NewWebhook::default(), None, None)
                    .await
                    .is_ok()
            })
        })
        .collect();
    let mut made = 0;
    for one in making {
        made += usize::from(one.await.unwrap());
    }
    assert_eq!(made, WEBHOOKS_MAX);
    assert_eq!(scene.kept().await.len(), WEBHOOKS_MAX);
}

#[tokio::test]
async fn a_replay_takes_the_place_of_another_or_ends_it() {
    let scene = Scene::new();
    let endpoint = scene.receiver().await;
    scene.webhooks.pause(&endpoint.id, "x", None).await.unwrap();
    scene.head.send_replace(Position(9));
    let replay = async |after, until| {
        let (after, until) = (place(after), Some(place(until)));
        let replayed = scene
            .webhooks
            .replay(&endpoint.id, (after, until), None)
            .await;
        replayed.unwrap().view.replay.map(|it| (it.at, it.until))
    };
    let between = |after, until| Some((place(after).into(), place(until).into()));
    assert_eq!(replay(1, 5).await, between(1, 5));
    assert_eq!(replay(0, 5).await, between(0, 5));
    assert_eq!(replay(3, 3).await, None);
}
