;; Nothing but forward jumps.
(lambda (x) (if (eq? x 1) (if (eq? x 2) 3 4) 5))
