//! A thread for what would make the event loop wait: started once, asleep while there is nothing to do.
//!
//! Used by `conntrack` and `received`. A channel of the standard library would do the same, with 6 kB of code for every type it carries.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Leads to the thread, which ends when this is dropped and everything is done.
#[derive(Debug)]
pub(crate) struct Worker<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    left: Mutex<Left<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Left<T> {
    tasks: Vec<T>,
    /// There will be no more.
    over: bool,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts the thread; `work` gets all tasks that came in since its last turn, in their order.
    pub(crate) fn start(name: &str, mut work: impl FnMut(Vec<T>) + Send + 'static) -> io::Result<Self> {
        let left = Mutex::new(Left { tasks: vec![], over: false });
        let shared = Arc::new(Shared { left, changed: Condvar::new() });
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(64 * 1024);
        thread.spawn(move || {
            loop {
                let idle = |left: &mut Left<T>| left.tasks.is_empty() && !left.over;
                let woken = own.changed.wait_while(lock(&own), idle);
                let tasks = std::mem::take(&mut woken.unwrap_or_else(PoisonError::into_inner).tasks);
                if tasks.is_empty() {
                    return;
                }
                work(tasks);
            }
        })?;
        Ok(Self(shared))
    }

    /// Leaves a task to the thread.
    pub(crate) fn leave(&self, task: T) {
        lock(&self.0).tasks.push(task);
        self.0.changed.notify_one();
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        lock(&self.0).over = true;
        self.0.changed.notify_one();
    }
}

fn lock<T>(shared: &Shared<T>) -> MutexGuard<'_, Left<T>> {
    shared.left.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn everything_is_done_in_order_before_the_end() {
        let (done, seen) = channel();
        let worker = Worker::start("test", move |tasks| tasks.into_iter().for_each(|task| done.send(task).unwrap()));
        let worker = worker.unwrap();
        worker.leave(1);
        assert_eq!(seen.recv_timeout(Duration::from_secs(10)), Ok(1), "it is woken");
        (2..=50).for_each(|task| worker.leave(task));
        drop(worker);
        assert_eq!(seen.iter().collect::<Vec<u32>>(), (2..=50).collect::<Vec<_>>(), "and ends");
    }
}
