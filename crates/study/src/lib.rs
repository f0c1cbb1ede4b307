//! The search loop: ask, tell, journal, resume and ranking.
