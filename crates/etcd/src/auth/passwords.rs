//! Hashing and checking passwords: slow on purpose, so on threads of its own, and on no more of them than allowed.
//! Whoever would wait behind too many others is refused at once. Knows no user and no state.
//!
//! A password that was found right is remembered, as a keyed hash in memory, for as long as its own hash is the same:
//! after a failover thousands of clients of a few users log in, and the slow check is made once for each user.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::Semaphore;

use crate::refusal::Refusal;

/// Passwords found right that are remembered.
const REMEMBERED: usize = 4096;

/// The pool. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Passwords {
    shared: Arc<Shared>,
}

struct Shared {
    cost: u32,
    threads: Semaphore,
    places: Semaphore,
    limit: usize,
    /// Drawn at the start of the process and never written down.
    key: hmac::Key,
    right: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    marks: BTreeSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Passwords {
    /// A pool that works on `threads` passwords at a time while up to `waiting` more wait. `cost` is bcrypt's: each
    /// step doubles the work.
    pub(crate) fn new(cost: u32, threads: usize, waiting: usize) -> Passwords {
        let key = secret().expect("a system that gives no random bytes cannot serve anybody");
        let shared = Shared {
            cost,
            threads: Semaphore::new(threads),
            places: Semaphore::new(threads + waiting),
            limit: threads + waiting,
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            right: Mutex::default(),
        };
        Passwords { shared: Arc::new(shared) }
    }

    /// The bcrypt hash of a password, as text.
    ///
    /// # Errors
    /// [`Refusal::TooManyRequests`] if too many wait.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Refusal> {
        let cost = self.shared.cost;
        // What Go's bcrypt writes, so that hashes can be carried to a real etcd and back.
        let hash =
            move || Some(bcrypt::hash_with_result(password, cost).ok()?.format_for_version(bcrypt::Version::TwoA));
        self.work(hash).await?.ok_or(Refusal::Unreadable)
    }

    /// Whether this is the password behind a hash. A hash that cannot be read fits no password.
    ///
    /// # Errors
    /// [`Refusal::TooManyRequests`] if too many wait.
    pub(crate) async fn matches(&self, password: String, hash: String) -> Result<bool, Refusal> {
        let mark = self.mark(&password, &hash);
        if self.remembered().marks.contains(&mark) {
            return Ok(true);
        }
        let right = self.work(move || bcrypt::verify(password, &hash).unwrap_or(false)).await?;
        if right {
            self.remembered().add(mark);
        }
        Ok(right)
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        let Ok(_place) = self.shared.places.try_acquire() else {
            tracing::warn!(
                limit = self.shared.limit,
                "too many passwords wait to be checked; etcd.logins_waiting and etcd.login_threads allow no more"
            );
            return Err(Refusal::TooManyRequests);
        };
        let _thread = self.shared.threads.acquire().await.map_err(|_| Refusal::Stopped)?;
        // The thread fails only if the runtime is on its way out.
        tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::Stopped)
    }

    fn mark(&self, password: &str, hash: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.shared.key);
        // The length keeps the two apart.
        context.update(&(hash.len() as u64).to_le_bytes());
        context.update(hash.as_bytes());
        context.update(password.as_bytes());
        let mut mark = [0; 32];
        mark.copy_from_slice(context.sign().as_ref());
        mark
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.shared.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    fn add(&mut self, mark: [u8; 32]) {
        if self.marks.insert(mark) {
            self.order.push_back(mark);
        }
        while self.order.len() > REMEMBERED {
            let oldest = self.order.pop_front().expect("there are more than none");
            self.marks.remove(&oldest);
        }
    }
}

/// Bytes that nobody can guess, for what the ensemble seals its tokens with.
///
/// # Errors
/// [`Refusal::Stopped`] if the system has none to give.
pub(crate) fn secret() -> Result<[u8; 32], Refusal> {
    let mut secret = [0; 32];
    SystemRandom::new().fill(&mut secret).map_err(|_| Refusal::Stopped)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_fits_its_password_only() {
        let passwords = Passwords::new(4, 1, 10);
        let hash = passwords.hash("secret".to_owned()).await.unwrap();
        assert!(hash.starts_with("$2a$04$"), "{hash}");
        for _ in 0..2 {
            assert_eq!(passwords.matches("secret".to_owned(), hash.clone()).await, Ok(true));
            assert_eq!(passwords.matches("other".to_owned(), hash.clone()).await, Ok(false));
        }
        assert_eq!(passwords.matches("secret".to_owned(), "nonsense".to_owned()).await, Ok(false));
    }

    #[tokio::test]
    async fn whoever_comes_when_all_places_are_taken_is_refused() {
        let passwords = Passwords::new(4, 1, 1);
        let (start, started) = std::sync::mpsc::channel::<()>();
        let busy = tokio::spawn({
            let passwords = passwords.clone();
            async move { passwords.work(move || started.recv()).await }
        });
        while passwords.shared.threads.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let waiting = tokio::spawn({
            let passwords = passwords.clone();
            async move { passwords.hash("x".to_owned()).await }
        });
        while passwords.shared.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(passwords.hash("y".to_owned()).await, Err(Refusal::TooManyRequests));
        start.send(()).unwrap();
        busy.await.unwrap().unwrap().unwrap();
        assert!(waiting.await.unwrap().is_ok());
    }

    #[test]
    fn the_memory_for_right_passwords_is_bounded() {
        let mut remembered = Remembered::default();
        for number in 0..2 * REMEMBERED as u64 {
            let mut mark = [0; 32];
            mark[..8].copy_from_slice(&number.to_le_bytes());
            remembered.add(mark);
        }
        assert_eq!((remembered.marks.len(), remembered.order.len()), (REMEMBERED, REMEMBERED));
    }
}
