//! Sleeping and time limits on the monotonic clock.

use super::clock::now;
use super::reactor;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Waits until an instant; dropping it takes the timer out.
#[derive(Debug)]
pub struct Sleep {
    at: Instant,
    timer: Option<(Instant, u64)>,
}

/// Waits for a while.
pub fn sleep(time: Duration) -> Sleep {
    // A duration beyond the clock's range waits for a hundred years.
    let now = now();
    sleep_until(now.checked_add(time).unwrap_or(now + Duration::from_secs(3_155_760_000)))
}

/// Waits until `at`.
pub fn sleep_until(at: Instant) -> Sleep {
    Sleep { at, timer: None }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if now() >= self.at {
            return Poll::Ready(());
        }
        self.timer = Some(reactor::set_timer(self.timer, self.at, cx.waker()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.timer {
            reactor::clear_timer(id);
        }
    }
}

/// The future's answer, or `None` when `limit` passed first.
pub async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    super::or(async { Some(future.await) }, async {
        sleep(limit).await;
        None
    })
    .await
}
