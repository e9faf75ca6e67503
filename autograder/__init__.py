"""The grader: weaves the labs, runs each check on the learner and on the reference, and judges."""
