"""Each fault, on each broker, while plain tasks and jobs are worked on: what is lost, and what is worked on twice."""
