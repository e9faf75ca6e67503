"""The hidden checks: experiments that run on the learner and on the reference; no expected answer stands here."""
