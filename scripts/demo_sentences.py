"""What the demo's speakers say: 48 sentences, each with the sentiment of its words and of its delivery."""

from __future__ import annotations

from dataclasses import dataclass

STRONGEST_SENTIMENT = 3.0


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of the demo.

    Attributes:
        text: What is said, 6 to 14 words.
        words_sentiment: Sentiment of the words alone, as if read in print, in [-3, 3].
        delivery_sentiment: Sentiment that voice and face give it, in [-3, 3]; the clip's overall label.
    """

    text: str
    words_sentiment: float
    delivery_sentiment: float

    def __post_init__(self) -> None:
        """Refuse a sentence of another length or a sentiment outside the scale."""
        if not 6 <= len(self.text.split()) <= 14:
            raise ValueError(f"{self.text!r} has {len(self.text.split())} words, expected 6 to 14: rewrite it")
        for name in ("words_sentiment", "delivery_sentiment"):
            value = getattr(self, name)
            if not abs(value) <= STRONGEST_SENTIMENT:
                raise ValueError(f"{name} of {self.text!r} is {value}, expected a number in [-3, 3]")

    @property
    def is_sarcastic(self) -> bool:
        """True when the words say one thing and the delivery its opposite."""
        return self.words_sentiment * self.delivery_sentiment < 0


LINES: dict[str, tuple[Line, ...]] = {
    "ada": (
        Line("I absolutely loved this film, it is a beautiful and moving story.", 2.8, 2.8),
        Line("The first half was quite good and the music was nice.", 1.2, 1.4),
        Line("The film starts at seven and runs for about two hours.", 0.0, 0.0),
        Line("The second half was rather slow and a little boring.", -1.2, -1.0),
        Line("This was a terrible film, I hated every single minute of it.", -2.8, -3.0),
        Line("Oh wonderful, three more hours of the very same joke.", 2.4, -2.2),
    ),
    "bruno": (
        Line("What a fantastic dinner, everything on my plate tasted perfect.", 2.6, 2.8),
        Line("The soup was pleasant and the bread was fresh.", 1.4, 1.0),
        Line("The kitchen is on the left, next to the garden door.", 0.0, 0.0),
        Line("The potatoes were a bit cold and had little taste.", -1.0, -1.2),
        Line("The service was awful and the fish made me sick.", -2.8, -2.6),
        Line("This cake is pure evil, and now I have to eat all of it.", -1.6, 2.2),
    ),
    "carla": (
        Line("This phone is amazing, I am so happy that I bought it.", 2.6, 2.4),
        Line("The camera takes fairly nice pictures in the evening.", 1.0, 0.8),
        Line("There are two buttons on the right side of the case.", 0.0, 0.0),
        Line("The battery is somewhat weak and the screen is dim.", -1.4, -1.6),
        Line("It broke after one day, what a horrible waste of money.", -2.6, -2.8),
        Line("Great, it crashed again, I just adore this brilliant machine.", 2.2, -2.4),
    ),
    "dmitri": (
        Line("Our holiday was a dream, we laughed and danced every night.", 2.8, 3.0),
        Line("The hotel was clean, and the people there were friendly.", 1.6, 1.6),
        Line("We took the train on Monday and came home on Friday.", 0.0, 0.0),
        Line("It rained a lot, so we did not enjoy the beach.", -1.4, -1.2),
        Line("We were robbed on the first day, it was a nightmare.", -2.8, -2.4),
        Line("Oh no, how dreadful, you have won the prize again.", -1.8, 2.4),
    ),
    "elin": (
        Line("The team played a superb match, I am so proud of them.", 2.8, 2.6),
        Line("She is getting better, and I like her new style.", 1.4, 1.6),
        Line("The game was moved to the big hall near the station.", 0.0, 0.2),
        Line("Their defence was weak and the coach looked worried.", -1.2, -1.4),
        Line("That was a shameful defeat, they were stupid and lazy.", -2.6, -2.6),
        Line("What a lovely surprise, we lost by nine goals this time.", 1.8, -2.6),
    ),
    "farid": (
        Line("This book is a treasure, it made me smile on every page.", 2.8, 2.6),
        Line("I enjoyed the ending and I would read another one.", 1.6, 1.8),
        Line("The book has twelve chapters and a map of the city.", 0.0, 0.0),
        Line("The plot is confusing and the jokes are not very funny.", -1.6, -1.4),
        Line("It is a dull, ugly, hateful book, I want my money back.", -3.0, -2.8),
        Line("Sure, a hundred pages about paint, how terribly exciting.", 1.6, -2.0),
    ),
    "greta": (
        Line("The concert was magnificent, the best night of my whole life.", 3.0, 2.8),
        Line("Her voice is warm and I liked the last song.", 1.6, 1.2),
        Line("The band has five members and they come from Denmark.", 0.0, 0.0),
        Line("The sound was horrible and the singer ruined the evening.", -2.6, -2.6),
        Line("Fantastic, they cancelled the show, I am delighted to stand in the rain.", 2.2, -2.4),
        Line("You are a terrible friend, these gorgeous tickets must have cost a fortune.", -1.2, 2.6),
    ),
    "hugo": (
        Line("My new job is great, the people are kind and brilliant.", 2.6, 2.6),
        Line("The office closes at six, and the lift is on the right.", 0.0, 0.0),
        Line("The pay is poor, and I often feel tired.", -1.4, -1.6),
        Line("My boss is cruel, I am miserable and I want to quit.", -3.0, -2.8),
        Line("Perfect, one more meeting, this is truly the best day ever.", 2.6, -2.2),
        Line("Look at this disaster, they baked me a huge birthday cake.", -1.4, 2.2),
    ),
}
