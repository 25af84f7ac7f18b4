//! How many events a window has: all that are allowed, or with a slow start as many as the server has shown to take.

/// Events of the first window.
const START: usize = 10;

/// The size of the windows to one host.
#[derive(Debug, Clone)]
pub struct WindowSize {
    now: usize,
    max: usize,
    slow_start: bool,
}

impl WindowSize {
    /// Nothing is known of the host.
    pub fn new(max: usize, slow_start: bool) -> Self {
        let now = if slow_start { START.min(max) } else { max };
        Self { now, max, slow_start }
    }

    /// Events of the next window.
    pub fn get(&self) -> usize {
        self.now
    }

    /// A window of so many events was acknowledged.
    pub fn good(&mut self, events: usize) {
        if self.slow_start && events >= self.now {
            self.now = (self.now + self.now.div_ceil(2)).min(self.max);
        }
    }

    /// A window was not acknowledged: the next is half as large.
    pub fn bad(&mut self) {
        if self.slow_start {
            self.now = (self.now / 2).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_grow_and_shrink() {
        let mut size = WindowSize::new(100, true);
        let sizes: Vec<usize> = (0..8)
            .map(|_| {
                size.good(size.get());
                size.get()
            })
            .collect();
        assert_eq!(sizes, [15, 23, 35, 53, 80, 100, 100, 100]);
        size.good(3);
        size.bad();
        assert_eq!(size.get(), 50);
        (0..9).for_each(|_| size.bad());
        assert_eq!(size.get(), 1);
        size.good(1);
        assert_eq!(size.get(), 2);
        let mut fixed = WindowSize::new(7, false);
        fixed.bad();
        fixed.good(7);
        assert_eq!(fixed.get(), 7);
    }
}
