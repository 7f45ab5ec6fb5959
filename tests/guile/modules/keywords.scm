;; Every kind of address in a .go file: keyword tables, procedure properties, docstrings, case-lambda, dense case
;; dispatch, nested constants, typed arrays, strings, loops and errors with constant arguments.
(define-module (keywords)
  #:export (area describe pick table run-keywords))

(define* (area #:key (width 2) (height 3) (unit "cm"))
  "The area of a rectangle, as text."
  (string-append (number->string (* width height)) unit))

(define describe
  (case-lambda
    "What the arguments are."
    (() 'none)
    ((a) (list 'one a))
    ((a b . rest) (list 'many a b rest))))

(define (annotated x)
  #((colour . "red") (weights . #(1 2 3)))
  (* x 2))

(define (pick n)
  (case n
    ((0) 'zero) ((1) 'one) ((2) 'two) ((3) 'three) ((4) 'four) ((5) 'five) ((6) 'six) ((7) 'seven)
    (else (error "no name for" n '(known . #(0 1 2 3 4 5 6 7))))))

(define table '#(("alpha" . #u8(1 2 3)) (beta . #f64(0.5 1.5)) (#\x . "lambda λ") (#*10110 #:key 1/3 2.5+1i)))

(define (sum-to n)
  (let loop ((i 0) (sum 0))
    (if (> i n) sum (loop (+ i 1) (+ sum i)))))

(define (run-keywords)
  (list (area) (area #:height 7 #:unit "mm")
        (describe) (describe 1) (describe 1 2 3)
        (procedure-documentation area)
        (map pick '(0 3 7))
        (catch #t (lambda () (pick 99)) (lambda (key . rest) (list key (cadr rest))))
        (annotated 21) (procedure-property annotated 'weights)
        table
        (sum-to 100000)))
